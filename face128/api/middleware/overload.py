"""Refuses requests that the service cannot serve in time, before they have cost much: see docs/reliability.md."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from face128.api.middleware.body_memory import BodyMemory
from face128.api.middleware.disconnect import DisconnectWatch
from face128.errors import STOPPING, Overloaded

NEVER_REFUSED = ("/health", "/ready", "/metrics")
TOO_MANY_CONNECTIONS = "The service has as many connections as it may. Try again shortly."
TOO_MUCH_LAG = "The service is behind with its requests. Try again shortly."
MAX_LAG_S = 0.02  # while there are more than MIN_REQUESTS_OF_OVERLOAD
MIN_REQUESTS_OF_OVERLOAD = 32  # with fewer, lag means that the machine stood still for a moment
LAG_INTERVAL_S = 0.01
PHOTO_ROUTES: dict[str, dict[str, Any]] = {
    "/encode-image": {"face_detected": False},
    "/match_face": {"status": "access_denied"},
}
"""The busiest photo routes, with the fields that their errors have besides: if the photo queue is full, they are
refused here."""


class LoopLag:
    """Measures how late the event loop is: everything that runs on it waits so long, /health too."""

    def __init__(self) -> None:
        self.requests = 0
        self._due: float | None = None
        self._last_lag_s = 0.0

    def enter(self) -> None:
        self.requests += 1
        if self._due is None:
            self._schedule()

    def leave(self) -> None:
        self.requests -= 1

    @property
    def seconds(self) -> float:
        """The lag at the last measurement or, if that is greater, the time by which the next one is overdue."""
        return self._last_lag_s if self._due is None else max(self._last_lag_s, time.monotonic() - self._due)

    def _schedule(self) -> None:
        self._due = time.monotonic() + LAG_INTERVAL_S
        asyncio.get_running_loop().call_at(self._due, self._measure, self._due)

    def _measure(self, due: float) -> None:
        self._last_lag_s, self._due = time.monotonic() - due, None
        if self.requests:
            self._schedule()


class OverloadControl:
    """ASGI middleware: refuses under overload, bounds the memory of bodies, and ends the work for clients that left."""

    def __init__(self, app: ASGIApp, memory: BodyMemory) -> None:
        self.app = app
        self._memory = memory
        self._lag = LoopLag()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        if refusal := self._refusal(scope, state):
            await refusal(scope, receive, send)
            return
        self._lag.enter()
        # A stream closes it once it has begun: it stays open for hours, and is no request that waits for its answer.
        counted = state["counted"] = ExitStack()
        counted.callback(self._lag.leave)
        reservation = state["memory"] = self._memory.reservation()
        watch = DisconnectWatch(receive, send)
        try:
            await self.app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:  # by the watch, or by uvicorn at the end of the grace
            if not (watch.client_left or watch.answer_started):
                await _refuse(scope, Overloaded(STOPPING))(scope, receive, send)
        finally:
            counted.close()
            watch.stop()
            reservation.release()

    def _refusal(self, scope: Scope, state: dict[str, Any]) -> JSONResponse | None:
        path = scope["path"]
        if path in NEVER_REFUSED:
            return None
        if state.get("over_connection_limit"):  # set by server/connection.py
            return _refuse(scope, Overloaded(TOO_MANY_CONNECTIONS))
        if self._lag.requests > MIN_REQUESTS_OF_OVERLOAD and self._lag.seconds > MAX_LAG_S:
            return _refuse(scope, Overloaded(TOO_MUCH_LAG), close=False)
        if path in PHOTO_ROUTES and scope["method"] == "POST":
            try:
                scope["app"].state.service.photo_pool.refuse_if_full()
            except Overloaded as error:
                return _refuse(scope, error, close=False)
        return None


def _refuse(scope: Scope, error: Overloaded, *, close: bool = True) -> JSONResponse:
    scope["app"].state.metrics.count_error(error.code)
    state, path = scope["state"], scope["path"]
    fields = state.get("error_fields", PHOTO_ROUTES.get(path, {}))
    if path in PHOTO_ROUTES:
        state["refused_path"] = path  # for the log and the metrics: no route has been found yet
    headers = {"Retry-After": str(error.retry_after)} | ({"Connection": "close"} if close else {})
    return JSONResponse({**fields, **error.body()}, error.status, headers)
