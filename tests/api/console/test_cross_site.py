"""No page of another site can post a form of the console, whatever form a later screen adds."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from console_routes import paths
from console_service import Console, console_service
from fake_photos import create_record, fake_photo

POSTS = paths("POST")
OTHERS = {
    "no header": {},
    "another site": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "a name that begins as ours": {"Origin": "{own}.evil.example"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "our host as a path": {"Origin": "https://evil.example/{host}"},
    "an empty origin": {"Origin": ""},
    "another site, says the browser": {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
    "a neighbour, says the browser": {"Sec-Fetch-Site": "same-site", "Origin": "{own}"},
    "nobody, says the browser": {"Sec-Fetch-Site": "none", "Origin": "null"},
}
"""Headers of a request that no page of the console sends."""


@pytest.fixture(scope="module", params=["with keys", "without keys"])
def console(request: pytest.FixtureRequest) -> Iterator[Console]:
    with console_service(keys=request.param == "with keys", FACE128_ENGINES="fake") as console:
        yield console


@pytest.fixture(scope="module")
def browser(console: Console) -> Iterator[httpx.Client]:
    """A browser that is signed in, and sends neither Origin nor Sec-Fetch-Site unless a test says so."""
    keys = httpx.get(f"{console.url}/console", timeout=60).status_code == 303
    with console.client("all" if keys else None) as client:
        del client.headers["Origin"]
        yield client


def headers(console: Console, who: str) -> dict[str, str]:
    host = console.url.removeprefix("http://")
    return {name: value.format(own=console.url, host=host) for name, value in OTHERS[who].items()}


@pytest.mark.parametrize("path", POSTS)
def test_a_form_of_another_page_is_refused(console: Console, browser: httpx.Client, path: str) -> None:
    for who in OTHERS:
        answer = browser.post(path, data={"id": "1"}, headers={"Accept": "application/json"} | headers(console, who))
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin"), who
        assert "set-cookie" not in answer.headers, who
    assert browser.get("/console").status_code == 200  # still signed in


@pytest.mark.parametrize("own", [{"Origin": "{own}"}, {"Sec-Fetch-Site": "same-origin"}])
def test_the_consoles_own_form_is_not(console: Console, browser: httpx.Client, own: dict[str, str]) -> None:
    """It is refused for its emptiness, if at all."""
    own = {name: value.format(own=console.url) for name, value in own.items()}
    for path in POSTS:
        if path != "/console/sign-out":  # as test_sign_in.py does
            answer = browser.post(path, data={}, headers={"Accept": "application/json"} | own)
            assert answer.status_code not in (403, 404, 405), path
            assert answer.status_code < 500, path


@pytest.mark.parametrize("path", POSTS)
def test_it_is_refused_before_its_body_is_read(console: Console, browser: httpx.Client, path: str) -> None:
    host, _, port = console.url.removeprefix("http://").partition(":")
    cookies = "; ".join(f"{each.name}={each.value}" for each in browser.cookies.jar)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: https://evil.example\r\nCookie: {cookies}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")  # though not a byte of the body has come


def test_nothing_is_changed_by_what_is_refused(console: Console, browser: httpx.Client) -> None:
    keys = httpx.get(f"{console.url}/console", timeout=60).status_code == 303
    with console.api() as api:
        if not keys:
            del api.headers["Authorization"]
        for seed in (1, 2):
            create_record(api, fake_photo(seed), f"Person {seed}")
        before = api.get("/people").json()
        ids = [each["user_id"] for each in before["people"]]
        assert len(ids) == 2
        # As many names of fields as the forms have, so that one of these would be taken.
        fields = {"id": ids[0], "user_id": ids[0], "into": ids[1], "other": ids[1], "name": "Renamed", "language": "de"}
        for path in POSTS:
            browser.post(path, data=fields, headers={"Origin": "https://evil.example"})
        assert api.get("/people").json() == before
