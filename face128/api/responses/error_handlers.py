"""One JSON shape for all errors: ours, FastAPI's validation, routing. middleware/request_log.py answers bugs."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from face128.api.metrics.prometheus import metrics_of
from face128.errors import (
    METHOD_NOT_ALLOWED,
    Face128Error,
    InvalidRequest,
    NotFound,
    TooSlow,
    Unauthorized,
    UnsupportedEncoding,
)

log = logging.getLogger("face128")

_HTTP_CODES = {404: NotFound.code, 405: METHOD_NOT_ALLOWED}


def install_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Face128Error, _face128_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


def _face128_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Face128Error)
    if error.status == 500:
        log.error("%s: %s", error.code, error)
    return _answer(request, error.status, error.body(), error_headers(error))


def error_headers(error: Face128Error) -> dict[str, str]:
    """The headers that belong to the answer."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, TooSlow):
        headers["Connection"] = "close"  # the rest of the body is not read
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UnsupportedEncoding):
        headers["Accept-Encoding"] = "identity"  # RFC 9110, section 15.5.16
    return headers


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _face128_error(request, as_invalid_request(error))


def as_invalid_request(error: RequestValidationError) -> InvalidRequest:
    """It names the field, and never quotes the input itself."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return InvalidRequest(f"{field}: {first['msg']}.", field=field)


def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "bad_request")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request, headers))
    return _answer(request, error.status_code, {"error": str(error.detail), "code": code}, headers)


def _allowed_methods(request: Request, headers: dict[str, str]) -> list[str]:
    """All methods of the path; Starlette names only those of the first route that has it."""
    from_starlette = headers.get("Allow", "").split(", ")
    path = getattr(request.scope.get("route"), "path_format", None)
    return sorted({*from_starlette, *map(str.upper, request.app.openapi()["paths"].get(path, ()))})


def _answer(request: Request, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    metrics_of(request).count_error(body["code"])
    return JSONResponse({**getattr(request.state, "error_fields", {}), **body}, status, headers)
