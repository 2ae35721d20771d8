"""Idle connections: how long they stay open, what the client is told about it, and how they end."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator

import pytest
import sockets
from serving import serving, started

MATCH = json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode()
REQUEST = sockets.head("/match", len(MATCH), "application/json") + MATCH


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(FACE128_ENGINES="fake", FACE128_KEEP_ALIVE_SECONDS="1.5") as client:
        yield client.base_url.port or 0


def test_the_time_that_is_told_is_kept_and_then_the_connection_is_closed(port: int) -> None:
    with sockets.send(port, REQUEST) as connection:
        for _ in range(2):
            reply = sockets.answer(connection)
            assert (reply.status, reply.headers["connection"]) == (200, "keep-alive")
            assert reply.headers["keep-alive"] == "timeout=1"  # in whole seconds, and rather less
            time.sleep(1.1)
            connection.sendall(REQUEST)
        assert sockets.answer(connection).status == 200
        idle_since = time.monotonic()
        assert sockets.hung_up(connection)
        assert time.monotonic() - idle_since > 1.5


@pytest.mark.parametrize(
    "last",
    [
        REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        REQUEST.replace(b"\r\n", b"\r\nConnection: close\r\n", 1),
        REQUEST.replace(b"\r\n", b"\r\nConnection: TE, Close\r\n", 1),
    ],
    ids=["1.0", "close", "a list"],
)
def test_a_client_that_wants_no_further_answer_is_told_nothing(port: int, last: bytes) -> None:
    with sockets.send(port, last) as connection:
        reply = sockets.answer(connection)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert "keep-alive" not in reply.headers
        assert sockets.hung_up(connection)


def test_by_default_it_is_75_seconds_and_ends_at_once_when_the_service_stops() -> None:
    with started(FACE128_ENGINES="fake") as (process, port):
        idle = [sockets.send(port, REQUEST) for _ in range(20)]
        assert {sockets.answer(connection).headers["keep-alive"] for connection in idle} == {"timeout=75"}
        busy = sockets.send(port, REQUEST[:-10])
        sockets.settle(port)
        process.send_signal(signal.SIGTERM)
        assert all(sockets.hung_up(connection) for connection in idle)
        assert sockets.answer(busy).headers["connection"] == "close"
        assert process.wait(20) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
