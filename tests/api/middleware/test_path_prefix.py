"""The service under a path prefix, behind a real nginx that takes the prefix off, and behind one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest
from nginx import nginx
from serving import serving

MATCH = {"descriptor": [0] * 128, "enrolled": []}
TELL_PROXY = """
  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Prefix /face;
"""


@pytest.fixture(scope="module", params=["stripped", "whole"])
def prefixed(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of nginx, which serves the service under /face."""
    whole = request.param == "whole"
    with serving(FACE128_ENGINES="fake", **({"FACE128_ROOT_PATH": "/face"} if whole else {})) as service:
        address = str(service.base_url).rstrip("/") + ("" if whole else "/")
        with (
            nginx(f"location /face/ {{ proxy_pass {address}; {TELL_PROXY} }}") as port,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            yield client


def links(answer: httpx.Response) -> list[str]:
    """What a page names, as a browser resolves it."""
    return [urljoin(str(answer.url), name) for name in re.findall(r'(?:src|href)="([^"]+)"', answer.text)]


@pytest.mark.parametrize("page", ["/face/", "/face/docs"])
def test_everything_that_a_page_names_is_there(prefixed: httpx.Client, page: str) -> None:
    answer = prefixed.get(page, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert len(links(answer)) >= 4
    for link in links(answer):
        assert "/face/" in link
        assert prefixed.get(link).status_code == 200, link


def test_the_document_leads_back_to_the_prefix(prefixed: httpx.Client) -> None:
    start = prefixed.get("/face/docs/start.js")
    document = prefixed.get(
        urljoin(str(prefixed.base_url) + "/face/docs", re.findall(r'url: "([^"]+)"', start.text)[0])
    )
    (server,) = document.json()["servers"]
    # As OpenAPI resolves a server: against the document's own URL.
    base = urljoin(str(document.url), server["url"]).rstrip("/")
    assert base.endswith("/face")
    assert prefixed.post(base + "/match", json=MATCH).json() == {"match": False}


@pytest.mark.parametrize("path", ["/face/match", "/face/match/", "/face/match//"])
def test_a_post_is_answered_and_never_redirected(prefixed: httpx.Client, path: str) -> None:
    answer = prefixed.post(path, json=MATCH)
    assert (answer.status_code, answer.json()) == (200, {"match": False})


def test_a_redirect_keeps_scheme_host_and_prefix(prefixed: httpx.Client) -> None:
    answer = prefixed.get("/face/docs/")
    assert (answer.status_code, answer.headers["Location"]) == (307, "../docs")


@pytest.mark.parametrize("path", ["/face/nothing", "/face/nothing/", "/face/face/match"])
def test_what_is_not_there_is_not_found_and_not_redirected(prefixed: httpx.Client, path: str) -> None:
    answer = prefixed.post(path, json=MATCH)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_with_a_root_path_the_service_answers_without_the_prefix_too() -> None:
    with serving(FACE128_ENGINES="fake", FACE128_ROOT_PATH="/services/face") as service:
        assert service.get("/health").status_code == service.get("/services/face/health").status_code == 200
        assert service.get("/services/face", headers={"Accept": "text/html"}).text.count('href="/services/face/') == 5
        assert service.get("/").json()["docs"] == "/services/face/docs"
        assert service.get("/services/faces/health").status_code == 404
        assert 'route="/health"' in service.get("/services/face/metrics").text
