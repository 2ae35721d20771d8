"""h11, stricter: what two readers could read differently is refused, and all of a request but its body is bounded."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import h11

HEAD_BYTES = 64 * 1024  # of a request: its head, its trailers, and what its chunks have besides their data
CHUNK_LINE_BYTES = 16  # not counted: the size of a chunk, and the ends of its lines
MAX_DATA_EVENTS = 1000  # in one turn of the event loop: 256 KiB in chunks of one byte would hold up everybody else


class Parser(h11.Connection):
    """The server's side of one connection. ``keeps_alive`` is cleared where the next answer is to be the last."""

    def __init__(self, keep_alive_seconds: float) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=sys.maxsize)  # next_event has a stricter bound
        self.keeps_alive = True
        self.head_too_large = False
        self._keep_alive_fields = [(b"Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=%d" % keep_alive_seconds)]
        self._client_keeps_alive = False
        self._head_bytes = 0
        self._chunk_line_bytes = 0
        self._data_events = 0

    @property
    def is_behind(self) -> bool:
        """Whether bytes are left for the next turn of the event loop, which ``next_turn`` begins."""
        return self._data_events >= MAX_DATA_EVENTS

    def next_turn(self) -> None:
        self._data_events = 0

    def next_event(self) -> Any:
        if self.is_behind:
            return h11.NEED_DATA
        before = len(self._receive_buffer)
        event = super().next_event()
        used = before - len(self._receive_buffer)
        if type(event) is h11.Data:
            self._data_events += 1
            self._chunk_line_bytes += used - len(event.data)
            if event.chunk_end:
                self._head_bytes += max(0, self._chunk_line_bytes - CHUNK_LINE_BYTES)
                self._chunk_line_bytes = 0
        elif type(event) is h11.Request:
            self._head_bytes, self._chunk_line_bytes = used, 0
            self._check_framing(event)
        else:
            self._head_bytes += used
        waiting = len(self._receive_buffer) if event is h11.NEED_DATA else 0
        if self._head_bytes + self._chunk_line_bytes + waiting > HEAD_BYTES:
            self.head_too_large = True
            raise h11.RemoteProtocolError(f"more than {HEAD_BYTES} bytes besides the body")
        if type(event) is h11.EndOfMessage:
            self._head_bytes = 0
        return event

    def _check_framing(self, request: h11.Request) -> None:
        """Raise RemoteProtocolError where a proxy may see the end of the body elsewhere (RFC 9112, 6.1)."""
        fields = list(request.headers)
        names = {name for name, _ in fields}
        if request.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("unknown version")
        if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
            raise h11.RemoteProtocolError("ambiguous length of the body")
        self._client_keeps_alive = request.http_version == b"1.1" and not _says_close(fields)

    def send(self, event: Any) -> Any:
        if type(event) is h11.Response:
            # Whoever waits for "100 Continue" may send the body after this answer, or the next request.
            if not self.keeps_alive or self.they_are_waiting_for_100_continue:
                event = _with_fields(event, [(b"Connection", b"close")])
            elif self._client_keeps_alive and not _says_close(event.headers):
                event = _with_fields(event, self._keep_alive_fields)
        return super().send(event)


def _says_close(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"connection" and b"close" in value.lower() for name, value in fields)


def _with_fields(response: h11.Response, fields: list[tuple[bytes, bytes]]) -> h11.Response:
    headers = response.headers.raw_items() + fields
    return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)
