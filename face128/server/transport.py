"""The transport of one connection: a client that is still sending can read its last answer all the same."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

ANSWER_START = b"HTTP/1.1 "  # the first bytes of every answer
LINGER_IDLE_S = 2


class ClientTransport:
    """asyncio's transport, whose ``close`` lingers.

    Closing a connection while bytes arrive resets it, and the reset destroys an answer that the client has not read
    yet. So if ``bytes_to_come`` says that the client may be sending, ``close`` ends only the answers, and what still
    arrives is thrown away: until the client closes, has been silent for two seconds, has sent more than that, or
    ``max_seconds`` have passed.
    """

    def __init__(self, transport: asyncio.Transport, bytes_to_come: Callable[[], int], max_seconds: float) -> None:
        self._transport = transport
        self._bytes_to_come = bytes_to_come
        self._max_seconds = max_seconds
        self._lingers = False
        self._answer_begun = False
        self._input_is_held = False
        self._input_is_wanted = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._lingers:
            return
        if self._answer_begun:
            data, self._answer_begun = data[len(ANSWER_START) :], False
        self._transport.write(data)

    def begin_answer(self) -> None:
        """Write the bytes that the next answer begins with, whatever it is; its ``write`` leaves them out."""
        if not self._answer_begun:
            self._transport.write(ANSWER_START)
            self._answer_begun = True

    @property
    def was_reset(self) -> bool:
        """Whether the client has refused what was written: it has closed the connection for reading too."""
        connection = self._transport.get_extra_info("socket")
        return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def pause_reading(self) -> None:
        self._input_is_wanted = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._input_is_wanted = True
        if not self._input_is_held:
            self._transport.resume_reading()

    def hold_input(self) -> None:
        """Read nothing until ``release_input``, whoever resumes reading meanwhile."""
        self._input_is_held = True
        self._transport.pause_reading()

    def release_input(self) -> None:
        self._input_is_held = False
        if self._input_is_wanted:
            self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        if max_bytes := self._bytes_to_come():
            self._lingers = True
            self._transport.set_protocol(_Lingering(self._transport, max_bytes, self._max_seconds))
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()


class _Lingering(asyncio.Protocol):
    """Reads and throws away, in place of the protocol that the connection had."""

    def __init__(self, transport: asyncio.Transport, max_bytes: int, max_seconds: float) -> None:
        self._transport = transport
        self._before: Any = transport.get_protocol()
        self._bytes_left = max_bytes
        self._end = asyncio.get_running_loop().call_later(max_seconds, transport.abort)
        self._wait()

    def _wait(self) -> None:
        self._silence = asyncio.get_running_loop().call_later(LINGER_IDLE_S, self._transport.close)

    def data_received(self, data: bytes) -> None:
        self._silence.cancel()
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._transport.abort()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence.cancel()
        self._end.cancel()
        self._before.connection_lost(exc)
