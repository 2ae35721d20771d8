"""A request id in every answer and log line, one log line a request, and the answer to unexpected errors."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face128.api.metrics.prometheus import Metrics
from face128.errors import Face128Error
from face128.logs import request_id

log = logging.getLogger("face128.access")

PROBE_ROUTES = ("/health", "/ready", "/metrics")
"""Supervisors and Prometheus ask these every few seconds: good answers are logged at debug only."""

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # harmless in a log
CLIENT_GONE = 499  # nginx's status for a request whose client left before the answer


class RequestLog:
    """ASGI middleware: takes the caller's X-Request-ID or makes one, sends it back, and logs the request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if _SAFE_ID.fullmatch(given) else secrets.token_hex(16)
        token = request_id.set(identifier)
        start = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = identifier
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:  # a bug: the traceback goes into the log with this id, never into the answer
            log.exception("internal error %s", identifier)
            if status:
                raise  # the answer has begun: all that is left is to break the connection
            self._metrics.count_error(Face128Error.code)
            body = {**scope.get("state", {}).get("error_fields", {}), **Face128Error().body(), "id": identifier}
            await JSONResponse(body, 500)(scope, receive, send_with_id)
        finally:
            route = route_of(scope) or "-"
            seconds = time.perf_counter() - start
            status = status or CLIENT_GONE
            self._metrics.count_request(route, scope["method"], status, seconds)
            _log_request(scope["method"], route, status, 1000 * seconds)
            request_id.reset(token)


def route_of(scope: Scope) -> str | None:
    """The route's path, not the request's: a user's id must not be logged. None where no route has it."""
    path: str | None = getattr(scope.get("route"), "path", None) or scope.get("state", {}).get("refused_path")
    return path


def _log_request(method: str, route: str, status: int, milliseconds: float) -> None:
    level = logging.WARNING if status >= 500 else logging.DEBUG if route in PROBE_ROUTES else logging.INFO
    fields = {"method": method, "route": route, "status": status, "milliseconds": round(milliseconds, 1)}
    log.log(level, "%s %s %d %.1f ms", *fields.values(), extra={"fields": fields})
