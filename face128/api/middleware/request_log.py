"""A request id in every answer and every log line, one log line a request, and an answer to errors nobody foresaw."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face128.api.metrics.prometheus import Metrics
from face128.errors import Face128Error
from face128.logs import request_id

log = logging.getLogger("face128.access")

PROBES = ("/health", "/ready", "/metrics")
"""Asked every few seconds by supervisors and Prometheus: their good answers are no news."""

# A caller's own id is kept where it is harmless in a log.
_SAFE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class RequestId:
    """ASGI middleware: takes the caller's X-Request-ID or makes one, and sends it back."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if _SAFE.fullmatch(given) else uuid.uuid4().hex
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
        except Exception:  # a bug: the traceback goes into the log under this id, never into the answer
            log.exception("internal error %s", identifier)
            if status:
                raise  # half an answer has left: the connection has to break
            self._metrics.count_error(Face128Error.code)
            body = {**scope.get("state", {}).get("error_fields", {}), **Face128Error().body(), "id": identifier}
            await JSONResponse(body, 500)(scope, receive, send_with_id)
        finally:
            # The path of the route, not of the request: a user's id belongs into no log.
            route = getattr(scope.get("route"), "path", None) or scope.get("state", {}).get("refused", "-")
            seconds = time.perf_counter() - start
            status = status or 499  # nobody was there to answer: what nginx writes into its log for it
            self._metrics.count_request(route, scope["method"], status, seconds)
            _tell(scope["method"], route, status, 1000 * seconds)
            request_id.reset(token)


def _tell(method: str, route: str, status: int, milliseconds: float) -> None:
    level = logging.WARNING if status >= 500 else logging.DEBUG if route in PROBES else logging.INFO
    fields = {"method": method, "route": route, "status": status, "milliseconds": round(milliseconds, 1)}
    log.log(level, "%s %s %d %.1f ms", *fields.values(), extra={"fields": fields})
