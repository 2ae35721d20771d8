"""GET /: HTML for browsers, JSON for others."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import httpx
import pytest


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "text/html"])
def test_a_browser_gets_a_page_whose_links_work(fake_service: httpx.Client, accept: str) -> None:
    page = fake_service.get("/", headers={"Accept": accept})
    assert page.headers["Content-Type"].startswith("text/html")
    assert "face128" in page.text
    links = re.findall(r'href="([^"]+)"', page.text)
    assert {"docs", "health"} <= set(links)
    assert {fake_service.get(urljoin(str(page.url), link)).status_code for link in links} == {200}
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert not re.search(r"<script|<style| style=| on\w+=|//", page.text.replace("<!doctype html>", ""))


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_a_program_gets_json(fake_service: httpx.Client, accept: str) -> None:
    answer = fake_service.get("/", headers={"Accept": accept})
    assert answer.headers["Vary"] == "Accept"
    body = answer.json()
    assert (body["service"], body["docs"], body["health"]) == ("face128", "docs", "health")


def test_neither_tells_the_version(fake_service: httpx.Client) -> None:
    version = fake_service.get("/health").json()["version"]
    for accept in ("text/html", "application/json"):
        assert version not in fake_service.get("/", headers={"Accept": accept}).text


def test_head_is_answered_and_a_post_is_not_taken(fake_service: httpx.Client) -> None:
    assert (fake_service.head("/").status_code, fake_service.head("/").content) == (200, b"")
    assert fake_service.post("/").json()["code"] == "method_not_allowed"
