"""The routes of the console, from the application: a test of all of them cannot forget a new one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from face128.api.app import create_app
from face128.api.console.screens.files import not_found
from face128.api_keys import ApiKey
from face128.settings import Settings


@cache
def _routes() -> list[APIRoute]:
    """Without those for what is no page."""
    app = create_app(Settings(engines=("fake",), api_keys=(ApiKey("any", bytes(32)),)))
    routes = [route for route in app.router.routes if isinstance(route, APIRoute)]
    return [each for each in routes if f"{each.path}/".startswith("/console/") and each.endpoint is not not_found]


def console_routes() -> list[tuple[str, str]]:
    """(method, path) of each, in the order in which they are looked up."""
    return [(method, route.path) for route in _routes() for method in sorted(route.methods)]


def paths(method: str) -> list[str]:
    """Of the routes with this method that have no parameters in their path."""
    return [path for each, path in console_routes() if each == method and "{" not in path]


def query_names(path: str) -> set[str]:
    """Of the parameters that GET of this path declares."""
    (route,) = (each for each in _routes() if each.path == path and "GET" in each.methods)
    return set(_query_names(route.dependant))


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_names(each)
