"""One shape for all errors, whoever raised them: ours, FastAPI's validation, routing. (The unforeseen: tracing.py.)"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from face128.api.metrics.prometheus import metrics_of
from face128.errors import Face128Error, InvalidRequest, NotFound, TooSlow, TryLater, Unauthorized

log = logging.getLogger("face128")

_HTTP_CODES = {404: NotFound.code, 405: "method_not_allowed"}


def error_fields(**fields: Any) -> Callable[[Request], Awaitable[None]]:
    """A dependency for routes whose errors carry more, such as ``"face_detected": false``."""

    async def remember(request: Request) -> None:
        request.state.error_fields = fields

    return remember


def install_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Face128Error, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Face128Error)
    headers = {}
    if isinstance(error, TryLater):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, TooSlow):
        headers["Connection"] = "close"  # what of the body still comes is nobody's
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == 500:
        log.error("%s: %s", error.code, error)
    return _answer(request, error.status, error.body(), headers)


def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    ours = InvalidRequest(f"{field}: {first['msg']}.", field=field)  # never the input itself
    return _answer(request, ours.status, ours.body())


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "bad_request")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request, headers))
    return _answer(request, error.status_code, {"error": str(error.detail), "code": code}, headers)


def _allowed(request: Request, headers: dict[str, str]) -> list[str]:
    """The methods that the path knows: Starlette names only those of the first route that has it."""
    named = headers.get("Allow", "").split(", ")
    path = getattr(request.scope.get("route"), "path_format", None)
    return sorted({*named, *map(str.upper, request.app.openapi()["paths"].get(path, ()))})


def _answer(request: Request, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    metrics_of(request).error(body["code"])
    return JSONResponse({**getattr(request.state, "error_fields", {}), **body}, status, headers)
