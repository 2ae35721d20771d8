"""Unexpected errors: an answer in the same shape, with an id that finds the traceback in the log."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest

from face128.api.app import create_app
from face128.api.responses.error_handlers import error_headers
from face128.errors import GalleryBusy, GalleryLost, NotReady
from face128.gallery.storage.database import REOPEN_AFTER_S
from face128.settings import Settings


def get_break(**headers: str) -> httpx.Response:
    """The answer of a route that raises, to a request with these headers."""
    app = create_app(Settings(engines=("fake",)))

    @app.get("/break")
    def break_() -> None:
        raise RuntimeError("a secret of the server, /etc/passwd")

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get("/break?key=hidden", headers=headers)

    return asyncio.run(call())


def test_an_unexpected_error_is_internal_with_an_id_and_no_details() -> None:
    answer = get_break(**{"X-Request-ID": "find-me"})
    assert answer.status_code == 500
    body = answer.json()
    assert (body["code"], body["id"]) == ("internal", "find-me")
    assert answer.headers["X-Request-ID"] == "find-me"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_the_log_has_the_traceback_under_that_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="face128.access"):
        get_break(**{"X-Request-ID": "find-me"})
    record = next(record for record in caplog.records if record.exc_info)
    assert "find-me" in record.getMessage()
    assert "RuntimeError" in str(record.exc_info)


def test_the_log_names_the_route_and_not_the_path(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="face128.access"):
        get_break()
    assert "GET /break 500" in caplog.text
    assert "hidden" not in caplog.text


def test_an_error_that_passes_by_itself_says_when_to_come_back() -> None:
    told = {each.code: error_headers(each()).get("Retry-After") for each in _all(NotReady) if each is not GalleryLost}
    assert {code: seconds for code, seconds in told.items() if seconds} == {
        "not_ready": "1",
        "gallery_away": "1",
        "gallery_busy": "1",
        "gallery_replaced": str(round(REOPEN_AFTER_S)),
    }
    assert len(told) > 7  # a full disk, say: waiting does not help
    assert "retry_after" not in GalleryBusy().body()


def _all(kind: type[NotReady]) -> list[type[NotReady]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _all(child))]
