"""What a request may take of the service, and what becomes of its work when the client leaves. See docs/reliability.md.

Bodies of all requests together take a bounded share of memory: what finds no room is refused before it is read.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face128.errors import STOPPING, Overloaded

ALWAYS = ("/health", "/ready", "/metrics")
"""Paths that are answered however many connections there are."""
CROWDED = "The service has as many connections as it may. Try again shortly."
BEHIND = "The service is behind with its requests. Try again shortly."
LATE = 0.02  # seconds that the event loop may be behind while more than MANY requests are there
MANY = 32  # fewer are answered, however late: a machine that stood still for a moment is no overload
FULL: dict[str, dict[str, Any]] = {
    "/encode-image": {"face_detected": False},
    "/match_face": {"status": "access_denied"},
}
"""Paths asked so often that they are refused here while no photo may wait, before a route has cost anything; with the
fields that the errors of these routes have besides."""
BEAT = 0.01  # seconds from one look at the clock to the next, while there are requests
SMALL = 64 * 1024  # bodies of up to so many bytes are not counted: the number of connections bounds them
PATIENCE = 0.05  # seconds until a client's leaving is watched for: most requests are answered before


class BodyMemory:
    """Bytes that the bodies of all requests may take together."""

    def __init__(self, total: int) -> None:
        self.free = total

    def share(self) -> Share:
        return Share(self)


class Share:
    """What one request has taken. Everything happens on the event loop: no lock is needed."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._taken = 0

    def grow(self, size: int) -> None:
        """Have room for a body of so many bytes. Raises Overloaded where there is none."""
        more = size - self._taken
        if size <= SMALL or more <= 0:
            return
        if more > self._memory.free:
            raise Overloaded("The service holds as many large requests as it may. Try again shortly.")
        self._memory.free -= more
        self._taken = size

    def give_back(self) -> None:
        self._memory.free += self._taken
        self._taken = 0


class Pulse:
    """How late the event loop is: so long everything waits that is to be done on it, /health too."""

    def __init__(self) -> None:
        self.requests = 0
        self._due: float | None = None
        self._late = 0.0

    def enter(self) -> None:
        self.requests += 1
        if self._due is None:
            self._wait()

    def leave(self) -> None:
        self.requests -= 1

    @property
    def late(self) -> float:
        """Seconds: at the last beat, or those for which the next one is overdue."""
        return self._late if self._due is None else max(self._late, time.monotonic() - self._due)

    def _wait(self) -> None:
        self._due = time.monotonic() + BEAT
        asyncio.get_running_loop().call_at(self._due, self._beat, self._due)

    def _beat(self, due: float) -> None:
        self._late, self._due = time.monotonic() - due, None
        if self.requests:
            self._wait()


class Admission:
    """ASGI middleware: a share of the memory for each request, and the end of its work when its client has left.

    Where requests come faster than the event loop begins them, some are refused here, before they have cost much.
    """

    def __init__(self, app: ASGIApp, memory: BodyMemory) -> None:
        self.app = app
        self._memory = memory
        self._pulse = Pulse()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        if state.get("crowded") and scope["path"] not in ALWAYS:
            await _refuse(scope, Overloaded(CROWDED))(scope, receive, send)
            return
        pulse = self._pulse
        if pulse.requests > MANY and pulse.late > LATE and scope["path"] not in ALWAYS:
            await _refuse(scope, Overloaded(BEHIND), close=False)(scope, receive, send)
            return
        if scope["method"] == "POST" and scope["path"] in FULL:
            try:
                scope["app"].state.service.photo_pool.refuse_if_full()
            except Overloaded as error:
                await _refuse(scope, error, close=False)(scope, receive, send)
                return
        pulse.enter()
        share = state["memory"] = self._memory.share()
        watch = _Watch(receive, send)
        try:
            await self.app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:  # by the watch, or by the server whose grace is over
            if not (watch.left or watch.answered):
                await _refuse(scope, Overloaded(STOPPING))(scope, receive, send)
        finally:
            pulse.leave()
            watch.end()
            share.give_back()


class _Watch:
    """Cancels the request's task once its client has left, between the end of the body and that of the answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.left = False
        self.answered = False
        self._receive = receive
        self._send = send
        self._request = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body") and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._begin)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            self.end()
        await self._send(message)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        if self._request is not None:
            self._request.cancel()


def _refuse(scope: Scope, error: Overloaded, *, close: bool = True) -> JSONResponse:
    scope["app"].state.metrics.count_error(error.code)
    state, path = scope["state"], scope["path"]
    fields = state.get("error_fields", FULL.get(path, {}))
    if path in FULL:
        state["refused"] = path  # for the log and the metrics: no route has been found
    headers = {"Retry-After": str(error.retry_after)} | ({"Connection": "close"} if close else {})
    return JSONResponse({**fields, **error.body()}, error.status, headers)
