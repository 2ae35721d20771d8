"""The HTTP server: uvicorn, with bounds on what a connection may take of it. See docs/reliability.md.

uvicorn itself waits for ever for the end of a head, and for a client that does not read its answer.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import sys
from functools import partial
from types import FrameType
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from face128.api import straight
from face128.api.straight import Straight
from face128.settings import Settings

UNREAD_BYTES = 128 * 1024  # of answers, in the system's buffer; Linux doubles it
HEAD_BYTES = 64 * 1024  # as uvicorn allows in its other parser
RESERVE = 100  # connections beyond the limit, to be told so, and for /health


class Connection(HttpToolsProtocol):
    """A connection that has so much time for the head of a request, and so much to read an answer.

    Where there are as many connections as there may be, the one that has been idle longest makes way; where none is
    idle, the newcomer is marked as ``crowded`` (api/admission.py).
    """

    _idle: dict[Connection, None] = {}  # noqa: RUF012  (one server a process; the longest idle first)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most, self.limit_concurrency = self.limit_concurrency or sys.maxsize, None
        self._head = _Deadline(self)
        self._reading = _Deadline(self)
        self._cycles: list[RequestResponseCycle] = []  # requests without an answer, of a client that sends ahead
        self._in_body = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Linux would let it grow to megabytes, for a client that takes nothing.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        if len(self.connections) > self._most:
            self._make_room()
        self._idle[self] = None
        self._head.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.pop(self, None)
        self._head.clear()
        self._reading.clear()
        super().connection_lost(exc)
        for cycle in self._cycles:  # uvicorn tells the last of them alone
            cycle.disconnected = not cycle.response_complete
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)  # sets them to 0 at the end of a request
        if self._in_body or self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES:
            self.transport.abort()
        elif self in self._idle and not self._head:  # the next request begins
            self._head.begin()

    def on_headers_complete(self) -> None:
        self._idle.pop(self, None)
        self._head.clear()
        self._in_body = True
        self._head_bytes = 0
        super().on_headers_complete()
        self._cycles.append(self.cycle)
        self.scope["state"][straight.BEGIN] = partial(self._begin_straight, self.cycle)

    def _begin_straight(self, cycle: RequestResponseCycle, memory: memoryview) -> Straight:
        """From now on uvicorn's own ``receive`` tells only the end of the body."""
        way = Straight(memory, cycle.body)
        if cycle.more_body:
            self.transport.set_protocol(_Body(self, way))
        return way

    def body_received(self) -> None:
        """The body that came straight is all there: the next byte is the next request's."""
        self.transport.set_protocol(self)
        self.parser = httptools.HttpRequestParser(self)  # the one before still waits for the body
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.on_message_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._head_bytes = 0
        super().on_message_complete()
        if self in self._idle:  # answered before all of it was there
            self._head.begin()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._cycles = [cycle for cycle in self._cycles if not cycle.response_complete]
        if self.transport.is_closing():
            self._reading.begin()
        elif self.cycle.response_complete:
            self._idle[self] = None
            if self._in_body:  # an early answer: the rest of the body is thrown away
                self._head.begin()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._reading.begin()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._reading.clear()

    def shutdown(self) -> None:
        self.app_state["service"].begin_to_stop()
        super().shutdown()

    def _make_room(self) -> None:
        if self._idle:
            next(iter(self._idle)).transport.abort()
        elif len(self.connections) > self._most + RESERVE:
            self.transport.abort()
        else:
            self.app_state = {**self.app_state, "crowded": True}


class _Body(asyncio.BufferedProtocol):
    """Receives the rest of a body that comes straight, whatever has been answered meanwhile."""

    def __init__(self, connection: Connection, way: Straight) -> None:
        self._connection = connection
        self._way = way

    def get_buffer(self, _: int) -> memoryview:
        return self._way.rest()  # and no more: what comes after it is the next request

    def buffer_updated(self, count: int) -> None:
        self._way.received += count
        if not self._way.rest():
            self._connection.body_received()

    def eof_received(self) -> None:
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Deadline:
    """Breaks a connection unless it is cleared in time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return self._timer is not None

    def begin(self) -> None:
        self.clear()
        connection = self._connection
        seconds = connection.app_state["service"].settings.client_seconds
        self._timer = connection.loop.call_later(seconds, connection.transport.abort)

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def run(app: Any, settings: Settings, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C; ``app`` is the application or, for several workers, where its factory is."""
    _allow_files(2 * (settings.max_connections + RESERVE))
    signal.signal(signal.SIGTERM, _stopped)
    uvicorn.run(
        app,
        factory=workers > 1,
        workers=workers,
        host=settings.host,
        port=settings.port,
        http=Connection,
        ws="none",
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=math.ceil(settings.grace),
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),  # uvicorn's own default believes whoever calls from loopback
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _stopped(_: int, __: FrameType | None) -> None:
    """Uvicorn raises the signal again that it has obeyed; this makes the exit status 0 of it."""


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files, as far as that is allowed: a connection is one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
