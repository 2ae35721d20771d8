"""h11, stricter: what two readers could read differently is refused, and all of a request but its body is bounded."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import h11
from h11._receivebuffer import ReceiveBuffer

HEAD_BYTES = 64 * 1024  # of a request: its head, its trailers, and what its chunks have besides their data
CHUNK_LINE_BYTES = 16  # not counted: the size of a chunk, and the ends of its lines
MAX_DATA_EVENTS = 1000  # in one turn of the event loop: 256 KiB in chunks of one byte would hold up everybody else


class _ReceiveBuffer(ReceiveBuffer):
    """h11's, which hands on a chunk that is all body as it came; h11 would copy it three times."""

    def __init__(self) -> None:
        self._chunk: bytes | bytearray = b""  # not in _buffer yet; if there is one, _buffer is empty
        super().__init__()

    @property
    def _data(self) -> bytearray:
        if self._chunk:
            self._buffer += self._chunk
            self._chunk = b""
        return self._buffer

    @_data.setter
    def _data(self, data: bytearray) -> None:
        self._buffer = data

    def __len__(self) -> int:
        return len(self._buffer) + len(self._chunk)

    def __iadd__(self, chunk: bytes | bytearray) -> _ReceiveBuffer:
        if len(self):
            self._data += chunk
        else:
            self._chunk = chunk
        return self

    def maybe_extract_at_most(self, count: int) -> Any:
        if not 0 < len(self._chunk) <= count:
            return super().maybe_extract_at_most(count)
        chunk, self._chunk = self._chunk, b""
        return chunk


class Parser(h11.Connection):
    """The server's side of one connection.

    ``keeps_alive`` is cleared where the next answer is to be the last. Other answers to a client that keeps the
    connection have ``keep_alive_fields``: uvicorn adds them, since h11 would check all fields once more here.
    """

    def __init__(self, keep_alive_seconds: float) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=sys.maxsize)  # next_event has a stricter bound
        self.keeps_alive = True
        self.head_too_large = False
        self.keep_alive_fields = [(b"connection", b"keep-alive"), (b"keep-alive", b"timeout=%d" % keep_alive_seconds)]
        self.client_keeps_alive = False
        self._receive_buffer = _ReceiveBuffer()
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
        if self._data_events >= MAX_DATA_EVENTS:
            return h11.NEED_DATA
        before = len(self._receive_buffer)
        event = super().next_event()
        if before:
            self._count(event, before - len(self._receive_buffer))
        if type(event) is h11.EndOfMessage:
            self._head_bytes = 0
        return event

    def _count(self, event: Any, used: int) -> None:
        """Count the bytes of an event that are not the body's. Raises RemoteProtocolError if there are too many."""
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

    def _check_framing(self, request: h11.Request) -> None:
        """Raise RemoteProtocolError where a proxy may see the end of the body elsewhere (RFC 9112, 6.1)."""
        names = {name for name, _ in request.headers}
        if request.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("unknown version")
        if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
            raise h11.RemoteProtocolError("ambiguous length of the body")
        self.client_keeps_alive = self._cstate.keep_alive

    def send(self, event: Any) -> Any:
        # Whoever waits for "100 Continue" may send the body after this answer, or the next request.
        if type(event) is h11.Response and (
            not self.keeps_alive
            or self.they_are_waiting_for_100_continue
            or (event.status_code >= 400 and _says_close(event.headers))
        ):
            kept = [field for field in event.headers.raw_items() if field not in self.keep_alive_fields]
            headers = [*kept, (b"connection", b"close")]
            event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
        return super().send(event)


def _says_close(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"connection" and b"close" in value.lower() for name, value in fields)
