"""One HTTP connection: uvicorn's, with time limits and a bound on how many there are.

The parser is h11: it bounds the head, keeps trailers out of the headers, refuses ambiguous requests, and reads a body
as a body whatever ``Upgrade`` says. uvicorn has no time limit for the end of a head, nor for a client that does not
read its answer. Nothing here reads or writes HTTP.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

UNREAD_BYTES = 128 * 1024  # of answers, in the system's buffer; Linux doubles it
HEAD_BYTES = 64 * 1024
RESERVED_CONNECTIONS = 100  # beyond the limit: to be told so, and for /health


class Connection(H11Protocol):
    """Closes a connection whose request head, or whose reading of an answer, takes longer than ``client_seconds``.

    Where there are as many connections as there may be, the one that has been idle longest is closed; where none is
    idle, the new one is marked as ``over_connection_limit`` (api/middleware/overload.py).
    """

    _idle: dict[Connection, None] = {}  # noqa: RUF012  (one server a process; the longest idle first)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        # Linux would let it grow to megabytes, for a client that takes nothing.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        if len(self.connections) > self._settings.max_connections:
            self._make_room()
        self._idle[self] = None
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.pop(self, None)
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # the head is complete
            self._idle.pop(self, None)
            if not self._discards_body:
                self._clear_deadline()
        elif self._deadline is None and not self.transport.is_closing():  # the next request begins
            self._start_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # may begin a request that was sent ahead
        if self.transport.is_closing() or self._discards_body:
            self._start_deadline()
        elif self.conn.their_state is h11.IDLE:
            self._idle[self] = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._start_deadline()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_deadline()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._clear_deadline()

    def shutdown(self) -> None:
        self.app_state["service"].begin_to_stop()
        super().shutdown()

    @property
    def _settings(self) -> Any:
        return self.app_state["service"].settings

    @property
    def _discards_body(self) -> bool:
        """Whether the rest of a body is thrown away, because its request has been answered."""
        return self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY

    def _make_room(self) -> None:
        if self._idle:
            next(iter(self._idle)).transport.abort()
        elif len(self.connections) > self._settings.max_connections + RESERVED_CONNECTIONS:
            self.transport.abort()
        else:
            self.app_state = {**self.app_state, "over_connection_limit": True}

    def _start_deadline(self) -> None:
        """Break the connection after ``client_seconds``, unless the deadline is cleared before."""
        self._clear_deadline()
        self._deadline = self.loop.call_later(self._settings.client_seconds, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
