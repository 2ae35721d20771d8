"""The console under a path prefix, behind a real nginx that takes the prefix off, and behind one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from console_routes import paths
from console_service import ALL, SECRETS, console_service, sign_in
from nginx import nginx

HOST = "proxy_set_header Host $http_host;"
PLACES = {"stripped": "/", "whole": ""}
"""By what the proxy does with the prefix, the path of the address to which it passes requests on."""


@pytest.fixture(scope="module", params=PLACES)
def prefixed(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the prefix. Under /without-host the proxy does not pass on the header Host."""
    root = {"FACE128_ROOT_PATH": "/door/face"} if request.param == "whole" else {}
    with console_service(FACE128_ENGINES="fake", **root) as console:
        address = console.url + PLACES[request.param]
        bare = f"location /without-host/ {{ proxy_pass {console.url}/; }}"
        with nginx(f"location /door/face/ {{ proxy_pass {address}; {HOST} }} {bare}") as port:
            yield f"http://127.0.0.1:{port}/door/face"


@pytest.fixture
def client(prefixed: str) -> Iterator[httpx.Client]:
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(prefixed))
    with httpx.Client(base_url=prefixed, headers={"Origin": origin}, timeout=60) as client:
        yield client


def follow(client: httpx.Client, answer: httpx.Response) -> str:
    """The path that a redirect leads to."""
    assert answer.status_code == 303, answer.text
    assert answer.next_request is not None
    assert answer.next_request.url.netloc == answer.url.netloc
    return answer.next_request.url.path


def test_the_session_begins_stays_under_the_prefix_and_ends(client: httpx.Client) -> None:
    assert follow(client, client.get("/console")) == "/door/face/console/sign-in"
    assert client.get("/console/sign-in").status_code == 200
    assert follow(client, sign_in(client, SECRETS[ALL])) == "/door/face/console"
    (cookie,) = client.cookies.jar
    assert cookie.path == "/door/face/console"  # not sent to other services of the host
    assert client.get("/console").status_code == 200
    assert follow(client, client.get("/console/")) == "/door/face/console"
    assert follow(client, client.post("/console/sign-out")) == "/door/face/console/sign-in"
    assert not client.cookies


@pytest.mark.parametrize("path", paths("GET"))
def test_everything_that_a_page_names_is_under_the_prefix(client: httpx.Client, path: str) -> None:
    assert sign_in(client, SECRETS[ALL]).status_code == 303
    with client.stream("GET", path) as page:
        if page.status_code == 303:
            assert follow(client, page).startswith("/door/face/console")
            return
        if not page.headers.get("content-type", "").startswith("text/html"):
            return
        page.read()
    for kind in ("href", "src", "action", "data-live", "data-url"):
        for address in re.findall(rf'\b{kind}="([^"]*)"', page.text):
            if address.startswith(("#", "data:")):
                continue
            url = page.url.join(address.replace("&amp;", "&"))
            assert str(url).startswith(str(client.base_url) + "console"), address
            if kind in ("href", "src"):
                assert client.get(url).status_code in (200, 303, 404, 422), address
                assert "/static/" not in address or client.get(url).status_code == 200, address


def test_a_browser_behind_a_proxy_that_hides_the_host_is_told_why(prefixed: str) -> None:
    """Chromium and Firefox say same-origin, so that it works; an older browser has Origin alone."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(prefixed))
    url = f"{origin}/without-host/console/sign-in"
    refused = httpx.post(url, data={"key": SECRETS[ALL]}, headers={"Origin": origin}, timeout=60)
    assert refused.status_code == 403
    assert "Host" in refused.text
    modern = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert httpx.post(url, data={"key": SECRETS[ALL]}, headers=modern, timeout=60).status_code == 303
