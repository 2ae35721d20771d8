"""One HTTP connection: uvicorn's, with time limits, a bound on how many there are, and answers that arrive.

h11 reads and writes HTTP (parser.py is stricter than it is). uvicorn has no time limit for the end of a head, nor for a
client that does not read its answer, and it drops a request whose client ends its side of the connection.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from face128.errors import BadRequest, Face128Error, HeadTooLarge
from face128.server.parser import Parser
from face128.server.transport import ClientTransport

UNREAD_BYTES = 128 * 1024  # of answers, in the system's buffer; Linux doubles it
RESERVED_CONNECTIONS = 100  # beyond the limit: to be told so, and for /health
HALF_CLOSED_CHECK_S = 0.1
MAX_REFUSED_BODY_BYTES = 256 * 2**20  # that are read and thrown away once the connection's last answer is written
MAX_IGNORED_BYTES = 2**20  # the same, for what is no request or follows the last one


class Connection(H11Protocol):
    """Closes a connection whose request head, or whose reading of an answer, takes longer than ``client_seconds``.

    Where there are as many connections as there may be, the one that has been idle longest is closed; one that is only
    read from, so that its last answer arrives, counts as idle. Where none is idle, the new one is marked as
    ``over_connection_limit`` (api/middleware/overload.py).
    """

    _idle: dict[Connection, None] = {}  # noqa: RUF012  (one server a process; the longest idle first)

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.conn: Parser = Parser(self._settings.keep_alive_seconds)
        self._deadline: asyncio.TimerHandle | None = None
        self._ignores_input = False
        self._input_has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport: ClientTransport  # type: ignore[assignment]
        wrapped = ClientTransport(transport, self._bytes_to_come, self._settings.client_seconds)
        super().connection_made(wrapped)  # type: ignore[arg-type]
        # Linux would let it grow to megabytes, for a client that takes nothing.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        if len(self.connections) > self._settings.max_connections:
            self._make_room()
        self._idle[self] = None
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.pop(self, None)
        self._clear_deadline()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input:
            return
        self.conn.next_turn()
        super().data_received(data)
        self._after_input()

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self.conn.client_keeps_alive:
            self.cycle.default_headers = [*self.cycle.default_headers, *self.conn.keep_alive_fields]
        if self.conn.is_behind:
            self.transport.hold_input()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Read what the parser has left for this turn of the event loop."""
        if self.transport.is_closing():
            return
        self.transport.release_input()
        self.conn.next_turn()
        self.handle_events()
        self._after_input()
        self._close_after_last_answer()

    def _after_input(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state is not h11.IDLE:  # the head is complete
            self._idle.pop(self, None)
            if not self._discards_body:
                self._clear_deadline()
        elif self._deadline is None:  # the next request begins
            self._start_deadline()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay open for the answers to the requests that have arrived, as far as the client may still read."""
        if not self._input_has_ended:
            self._input_has_ended = True
            self._check_half_closed()
        return self._owes_answer or self.conn.is_behind

    def _check_half_closed(self) -> None:
        """Find out whether a client that has ended its side has left altogether; only a write tells.

        So the first bytes of its answer are written ahead. If it has left, the system resets the connection then, and
        the work for it ends.
        """
        if self.transport.is_closing():
            return
        if self._owes_answer and not self.cycle.response_started:
            self.transport.begin_answer()
        if self.transport.was_reset:
            self.transport.abort()
        else:
            self.loop.call_later(HALF_CLOSED_CHECK_S, self._check_half_closed)

    def on_response_complete(self) -> None:
        super().on_response_complete()  # may begin a request that was sent ahead
        if self.transport.is_closing() or self._discards_body:
            self._start_deadline()
        if self.transport.is_closing() or self.conn.their_state is h11.IDLE:
            self._idle[self] = None
        self._close_after_last_answer()

    def _close_after_last_answer(self) -> None:
        if self._input_has_ended and not (self._owes_answer or self.conn.is_behind):
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, unless a request before it is still to be answered, and read nothing more."""
        self._ignores_input = True
        if self._owes_answer:
            return  # its answer is the last: h11 says so
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer has been given, or has begun
            self.transport.close()
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        error = HeadTooLarge() if self.conn.head_too_large else BadRequest("This is not a valid request of HTTP/1.1.")
        self._answer(error)

    def _answer(self, error: Face128Error) -> None:
        """Answer without the application, and close."""
        self.conn = Parser(0)  # the other one may be in the middle of a request
        self.conn.keeps_alive = False
        body = json.dumps(error.body()).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        reason = STATUS_PHRASES[error.status]
        for event in (h11.Response(status_code=error.status, headers=headers, reason=reason), h11.Data(data=body)):
            self.transport.write(self.conn.send(event))
        self.conn.send(h11.EndOfMessage())
        self.transport.close()
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
        self.conn.keeps_alive = False
        super().shutdown()

    @property
    def _settings(self) -> Any:
        return self.app_state["service"].settings

    @property
    def _owes_answer(self) -> bool:
        """Whether a request has arrived that is not answered yet."""
        return self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete)

    @property
    def _discards_body(self) -> bool:
        """Whether the rest of a body is thrown away, because its request has been answered."""
        return self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY

    def _bytes_to_come(self) -> int:
        """How much may still come that is to be thrown away, at most; 0 if the client has nothing more to send."""
        state = self.conn.their_state
        if self._input_has_ended:
            return 0
        if self._ignores_input or (state is not h11.IDLE and self.conn.trailing_data[0]):
            return MAX_IGNORED_BYTES
        return MAX_REFUSED_BODY_BYTES if state is h11.SEND_BODY else 0

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
