"""The span of a request, where FACE128_TRACES is set."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face128.api.metrics.prometheus import HTTP_METHODS
from face128.api.middleware.request_log import CLIENT_GONE, PROBE_ROUTES, route_of
from face128.traces.service_tracer import ServiceTracer


class RequestSpan:
    """ASGI middleware, around the request's log."""

    def __init__(self, app: ASGIApp, tracer: ServiceTracer) -> None:
        self.app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") in PROBE_ROUTES:
            await self.app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in HTTP_METHODS else "_OTHER"
        traceparent = Headers(scope=scope).get("traceparent")
        with self._tracer.request(method, scope["scheme"], traceparent) as request:
            request.status = CLIENT_GONE

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.status = message["status"]
                    request.request_id = Headers(raw=message["headers"]).get("x-request-id")
                await send(message)

            try:
                await self.app(scope, receive, send_and_note)
            finally:
                request.route = route_of(scope)
