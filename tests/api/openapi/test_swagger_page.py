"""/docs: the service itself serves everything that the page needs."""

from __future__ import annotations

import re

import httpx
import pytest


@pytest.fixture(scope="module")
def parts(fake_service: httpx.Client) -> dict[str, httpx.Response]:
    """What a browser loads, by path: the page, then everything that it names."""
    page = fake_service.get("/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    return {"/docs": page, **{name: fake_service.get("/docs/../" + name) for name in named}}


def test_the_service_has_the_page_and_all_that_it_names(parts: dict[str, httpx.Response]) -> None:
    assert len(parts) == 5
    assert {answer.status_code for answer in parts.values()} == {200}
    types = {answer.headers["Content-Type"].partition(";")[0] for answer in parts.values()}
    assert types == {"text/html", "image/png", "text/css", "text/javascript"}


def test_the_page_names_no_other_origin(parts: dict[str, httpx.Response]) -> None:
    ours = [parts["/docs"].text, parts["docs/start.js"].text]
    assert not any("//" in text for text in ours)
    assert "validatorUrl: null" in parts["docs/start.js"].text
    # The style sheet contains its pictures.
    assert not re.findall(r"url\((?!['\"]?data:)", parts["docs/swagger-ui.css"].text)
    assert "@import" not in parts["docs/swagger-ui.css"].text


def test_the_security_policy_allows_no_other_host(parts: dict[str, httpx.Response]) -> None:
    for answer in parts.values():
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert not any(":" in sources.replace("data:", "") for sources in policy.values())


def test_the_page_reads_the_document(fake_service: httpx.Client, parts: dict[str, httpx.Response]) -> None:
    address = re.search(r'url: "([^"]+)"', parts["docs/start.js"].text)
    assert address
    assert "/match" in fake_service.get("/docs/../" + address[1]).json()["paths"]


@pytest.mark.parametrize("path", ["/docs/redoc.standalone.js", "/docs/..%2f__init__.py", "/docs/nothing", "/redoc"])
def test_nothing_else_is_served(fake_service: httpx.Client, path: str) -> None:
    answer = fake_service.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
