"""FACE128_CONSOLE: where there is a console, and that a service without one has nothing of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from serving import environment, serving

from face128.api.app import create_app
from face128.api_keys import ApiKey
from face128.settings import Settings

KEYS = (ApiKey("any", bytes(32)),)
LOADED = """
LOOKED_FOR = %r
import sys
from face128.api.app import create_app
app = create_app()
print(sorted(name for name in sys.modules if name.startswith(LOOKED_FOR)))
print([route.path for route in app.router.routes if "console" in getattr(route, "path", "")])
"""


def test_a_service_without_it_has_no_route_and_loads_no_module_of_it() -> None:
    settings = environment(FACE128_ENGINES="fake", FACE128_CONSOLE="0")
    run = [sys.executable, "-c", LOADED % (("face128.api.console", "jinja2"),)]
    done = subprocess.run(run, env=settings, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n[]\n"
    settings["FACE128_CONSOLE"] = "1"
    done = subprocess.run(run, env=settings, capture_output=True, text=True, check=True, timeout=60)
    assert "'face128.api.console.pages'" in done.stdout
    assert "'/console'" in done.stdout


def test_no_database_and_no_index_are_loaded_before_the_gallery_is_used() -> None:
    """They take 27 MB."""
    settings = environment(FACE128_ENGINES="fake", FACE128_CONSOLE="1")
    run = [sys.executable, "-c", LOADED % (("sqlalchemy", "faiss"),)]
    done = subprocess.run(run, env=settings, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("[]\n['/console/")


@pytest.fixture(scope="module")
def without() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake", FACE128_CONSOLE="0") as client:
        yield client


@pytest.mark.parametrize("path", ["/console", "/console/", "/console/sign-in", "/console/static/0/console.css"])
def test_it_is_not_found(without: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        answer = without.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("settings", "served"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "0.0.0.0", "api_keys": KEYS}, True),
        ({"host": "0.0.0.0", "allow_anonymous": True}, False),
        ({"host": "0.0.0.0", "allow_anonymous": True, "console": True}, True),
        ({"api_keys": KEYS, "console": False}, False),
        ({"console": False}, False),
    ],
)
def test_it_is_served_where_not_anybody_can_come(settings: dict[str, object], served: bool) -> None:
    app = create_app(Settings(engines=("fake",), **settings))  # type: ignore[arg-type]
    assert any(getattr(route, "path", "") == "/console" for route in app.router.routes) == served
