"""What every answer of the console tells the browser: pages, errors, redirects and files."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from console_routes import paths
from console_service import Console, console_service, sign_in

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "media-src": "'self' blob:",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with console_service(FACE128_ENGINES="fake") as console:
        yield console


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client() as client:
        yield client


def check(answer: httpx.Response) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name) == [value], name
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == POLICY
    assert not {"Access-Control-Allow-Origin", "Server-Timing"} & set(answer.headers)
    if "/static/" not in str(answer.url):
        assert answer.headers.get_list("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("path", paths("GET"))
def test_every_page_and_what_it_answers_without_a_session(console: Console, client: httpx.Client, path: str) -> None:
    with client.stream("GET", path) as answer:
        check(answer)
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        camera = answer.headers["Permissions-Policy"].split(", ")
        assert "camera=(self)" in camera
    check(httpx.get(console.url + path, timeout=60))


@pytest.mark.parametrize("path", paths("POST"))
def test_every_form_and_its_errors(console: Console, path: str) -> None:
    with console.client() as client:
        for request in (
            {"data": {}},
            {"data": {"id": "nobody"}},
            {"content": b"\xff", "headers": {"Content-Type": "text/plain"}},
            {"files": {"photo": b"no photo"}},
            {"data": {"id": "1"}, "headers": {"Origin": "null"}},
        ):
            check(client.post(path, **request))  # type: ignore[arg-type]
    check(httpx.post(console.url + path, headers={"Origin": console.url}, timeout=60))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/console/no-such-page", 404),
        ("POST", "/console/no-such-page", 404),
        ("DELETE", "/console", 404),
        ("POST", "/console", 404),
        ("GET", "/console/sign-out", 404),
        ("GET", "/console?collection=no!collection", 422),
        ("GET", "/console?collection=one&collection=two", 422),
        ("GET", "/console/static/1/no-such-file.js", 404),
    ],
)
def test_errors_have_them_and_a_sentence(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    check(answer)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'role="alert"' in answer.text


def test_a_module_gets_its_errors_as_json_with_the_headers(client: httpx.Client) -> None:
    answer = client.get("/console/no-such-page", headers={"Accept": "application/json"})
    assert answer.json()["code"] == "not_found"
    check(answer)


def test_files_are_kept_for_a_year_under_an_address_that_changes_with_them(client: httpx.Client) -> None:
    page = client.get("/console")
    assets = re.findall(r'(?:href|src)="([^"]*static/[^"]*)"', page.text)
    assert len(assets) >= 3
    for asset in assets:
        answer = client.get(str(page.url.join(asset)))
        assert answer.status_code == 200
        check(answer)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        outdated = client.get(str(page.url.join(re.sub("static/[^/]*", "static/0", asset))))
        assert (outdated.status_code, outdated.headers["Cache-Control"]) == (200, "no-store")


def test_the_form_to_sign_in_cannot_be_framed_either(console: Console) -> None:
    with console.client(None) as client:
        check(client.get("/console/sign-in"))
        check(sign_in(client, "wrong"))
