"""What each key opens, screen by screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from console_routes import console_routes
from console_service import ALL, KEY_SCOPES, SITE, Console, console_service

ROUTES: dict[tuple[str, str], str | None] = {
    ("GET", "/console"): None,
    ("GET", "/console/"): None,
    ("POST", "/console/sign-out"): None,
    ("GET", "/console/people"): "gallery",
    ("GET", "/console/person"): "gallery",
    ("POST", "/console/person/change"): "gallery",
    ("POST", "/console/person/erase-photo"): "gallery",
    ("POST", "/console/person/erase"): "gallery",
    ("GET", "/console/person/merge"): "gallery",
    ("POST", "/console/person/merge"): "gallery",
    ("GET", "/console/collections"): "gallery",
    ("GET", "/console/try"): "match",
    ("POST", "/console/try"): "match",
    ("GET", "/console/threshold"): "gallery",
    ("GET", "/console/decisions"): "gallery",
    ("GET", "/console/decisions/events"): "gallery",
    ("GET", "/console/review"): "gallery",
    ("POST", "/console/review"): "gallery",
    ("GET", "/console/enrol"): "gallery",
    ("POST", "/console/enrol"): "gallery",
    ("POST", "/console/enrol/check"): "gallery",
    ("GET", "/console/thumbnail"): "gallery",
    ("GET", "/console/health"): "gallery",
    ("GET", "/console/health/measured"): "gallery",
    ("POST", "/console/health/measure"): "gallery",
    ("GET", "/console/trail"): "admin",
    ("GET", "/console/trail/checked"): "admin",
    ("POST", "/console/trail/check"): "admin",
    ("GET", "/console/trail/export"): "admin",
    ("GET", "/console/keys"): "admin",
}
"""The scope that each needs; None: any session."""
OPEN = {
    ("GET", "/console/static/{version}/{name}"),
    ("GET", "/console/sign-in"),
    ("POST", "/console/sign-in"),
    ("POST", "/console/language"),
}
"""Without a session."""
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with console_service(FACE128_ENGINES="fake") as console:
        yield console


@pytest.fixture(scope="module")
def clients(console: Console) -> Iterator[dict[str, httpx.Client]]:
    """Signed in, by the name of the key."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(console.client(name)) for name in KEY_SCOPES}


def status_and_code(client: httpx.Client, method: str, path: str) -> tuple[int, str | None]:
    """Of an empty form. Only the head of a stream is read."""
    with client.stream(method, path, headers=JSON, data={} if method == "POST" else None) as answer:
        if answer.status_code not in (401, 403):
            return answer.status_code, None
        answer.read()
        return answer.status_code, str(answer.json()["code"])


def test_every_route_is_in_one_of_the_tables() -> None:
    assert set(console_routes()) == ROUTES.keys() | OPEN


@pytest.mark.parametrize(("method", "path"), [each for each in ROUTES if each[1] != "/console/sign-out"])
def test_each_route_opens_to_its_scope_alone(
    console: Console, clients: dict[str, httpx.Client], method: str, path: str
) -> None:
    needed = ROUTES[method, path]
    for name, scopes in KEY_SCOPES.items():
        status, code = status_and_code(clients[name], method, path)
        if needed is None or needed in scopes:
            assert status < 500, name
            assert code is None, name
        else:
            assert (status, code) == (403, "forbidden"), name
    with console.client(None) as stranger:
        assert status_and_code(stranger, method, path) == (401, "unauthorized")
        assert stranger.request(method, path).status_code == (303 if method == "GET" else 401)


def links(page: httpx.Response) -> list[str]:
    """The paths that the menu of a page leads to."""
    (menu,) = re.findall(r"<nav.*?</nav>", page.text, re.DOTALL)[:1]
    return [str(page.url.join(link).path) for link in re.findall(r'href="([^"]*)"', menu)]


@pytest.mark.parametrize("name", KEY_SCOPES)
def test_the_menu_and_the_tiles_show_what_the_key_opens(clients: dict[str, httpx.Client], name: str) -> None:
    page, every = clients[name].get("/console"), links(clients[ALL].get("/console"))
    shown = links(page)
    opened = [path for path in every if clients[name].get(path).status_code == 200]
    assert shown == opened
    tiles = re.findall(r'href="([^"]*)"', page.text.partition("<main")[2].partition("<footer")[0])
    for tile in tiles:
        assert clients[name].get(str(page.url.join(tile))).status_code == 200, tile


def test_every_screen_of_the_tables_is_in_the_menu_of_the_key_that_opens_all(clients: dict[str, httpx.Client]) -> None:
    shown = set(links(clients[ALL].get("/console")))
    assert shown <= {path for method, path in ROUTES if method == "GET"}
    assert len(shown) == 10


def test_a_page_that_the_key_does_not_open_says_so(clients: dict[str, httpx.Client]) -> None:
    for (method, path), scope in ROUTES.items():
        if method == "GET" and scope not in (None, "match"):
            answer = clients["match"].get(path)
            assert answer.status_code == 403
            assert 'role="alert"' in answer.text
            assert "sign-out" in answer.text  # the page still has its menu


def test_a_key_of_one_collection_sees_no_other(clients: dict[str, httpx.Client]) -> None:
    for (method, path), scope in ROUTES.items():
        if path == "/console/sign-out" or (scope is not None and scope not in KEY_SCOPES[SITE]):
            continue
        own = status_and_code(clients[SITE], method, f"{path}?collection={SITE}")
        assert own[1] is None
        for other in ("other", "SITE"):
            assert status_and_code(clients[SITE], method, f"{path}?collection={other}") == (403, "forbidden"), path
