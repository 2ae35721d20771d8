"""Messages over a stream socket between the service and a worker process: 8 bytes of length, then the message.

A deadline, in seconds of ``time.monotonic``, is for the whole message: it bounds the wait for a peer that is stopped or
hangs. Without a deadline the wait ends with the peer. TimeoutError is raised at the deadline, another OSError when the
peer has ended.
"""

from __future__ import annotations

import select
import socket
import time

HEADER_BYTES = 8
MAX_RECEIVE_BYTES = 2**20
"""Received at once: the length comes from a process that may be compromised, and must not allocate memory by itself."""


def send(connection: socket.socket, message: bytes, deadline: float | None = None) -> None:
    _set_timeout(connection, deadline)
    connection.sendall(len(message).to_bytes(HEADER_BYTES, "little"))
    _set_timeout(connection, deadline)
    connection.sendall(message)  # not joined to the header: a message may have many megabytes


def receive(connection: socket.socket, deadline: float | None = None) -> bytearray:
    length = int.from_bytes(_receive_exactly(connection, HEADER_BYTES, deadline), "little")
    return _receive_exactly(connection, length, deadline)


def is_idle(connection: socket.socket) -> bool:
    """Whether the peer lives and has sent nothing."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def _receive_exactly(connection: socket.socket, count: int, deadline: float | None) -> bytearray:
    message = bytearray()
    while len(message) < count:
        _set_timeout(connection, deadline)
        part = connection.recv(min(count - len(message), MAX_RECEIVE_BYTES))
        if not part:
            raise ConnectionResetError
        message += part
    return message


def _set_timeout(connection: socket.socket, deadline: float | None) -> None:
    # A timeout of 0 would mean: do not block.
    connection.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
