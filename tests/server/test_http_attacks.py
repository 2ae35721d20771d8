"""Requests that are meant to be read in two ways, or to take what they may not; over raw sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import sockets
from serving import serving

from face128.server.connection import HEAD_BYTES

KEY = "a key that is long enough to be none that one guesses"
MATCH = json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode()
HIDDEN = b"DELETE /records/1 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake", FACE128_CLIENT_SECONDS="2") as client:
        yield client


@pytest.fixture(scope="module")
def port(service: httpx.Client) -> int:
    return service.base_url.port or 0


def head(length: int, *lines: str) -> bytes:
    fields = ("Host: x", "Content-Type: application/json", f"Content-Length: {length}", *lines)
    return ("POST /match HTTP/1.1\r\n" + "\r\n".join(fields) + "\r\n\r\n").encode()


def all_of(connection: socket.socket) -> bytes:
    """What the service sends until it closes, or says nothing for a second."""
    connection.settimeout(1)
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except (TimeoutError, ConnectionResetError):
        pass
    return received


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0", "anything"])
@pytest.mark.parametrize("pause", [0, 0.2])
class TestUpgrade:
    LINES = "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"

    def test_the_body_is_never_run_as_a_request(self, port: int, protocol: str, pause: float) -> None:
        with sockets.send(port, head(len(HIDDEN), f"Upgrade: {protocol}", *self.LINES)) as connection:
            time.sleep(pause)  # the body comes in a segment of its own
            connection.sendall(HIDDEN)
            answers = all_of(connection)
        assert answers.count(b"HTTP/1.1 ") == 1
        assert answers.startswith(b"HTTP/1.1 400")  # /match, of a body that is not JSON

    def test_it_is_answered_as_without(self, port: int, protocol: str, pause: float) -> None:
        with sockets.send(port, head(len(MATCH), f"Upgrade: {protocol}", *self.LINES)) as connection:
            time.sleep(pause)
            connection.sendall(MATCH)
            reply = sockets.answer(connection)
        assert (reply.status, reply.body) == (200, {"match": False})


def chunked(*trailers: bytes) -> bytes:
    request = b"POST /match HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return request + b"%x\r\n%s\r\n0\r\n" % (len(MATCH), MATCH) + b"".join(trailers)


class TestTrailers:
    def test_they_are_no_headers(self) -> None:
        with serving(FACE128_ENGINES="fake", FACE128_API_KEYS=KEY, headers={"X-API-Key": KEY}) as client:
            trailers = f"X-API-Key: {KEY}\r\nX-Request-ID: from-a-trailer\r\n\r\n".encode()
            with sockets.send(client.base_url.port or 0, chunked(trailers)) as connection:
                reply = sockets.answer(connection)
        assert reply.status == 401
        assert reply.headers["x-request-id"] != "from-a-trailer"

    def test_they_are_bounded(self, port: int) -> None:
        with sockets.send(port, chunked()) as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
            sockets.keep_sending(connection, b"X-Long: " + b"x" * 8000 + b"\r\n", 1000, pause=0.001)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nHost : y\r\n\r\n",
        head(10, "Content-Length: 11"),
        head(int("9" * 4000)),
        head(10).replace(b"Content-Length: 10", b"Content-Length: +10"),
        head(10).replace(b"Content-Length: 10", b"Transfer-Encoding: gzip, chunked"),
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 5 * HEAD_BYTES + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
    ids=["no host", "two hosts", "space", "two lengths", "a long length", "a signed length", "coding", "head", "tls"],
)
def test_an_ambiguous_or_oversized_head_is_a_400(port: int, request_head: bytes) -> None:
    with sockets.send(port, request_head) as connection:
        assert all_of(connection).startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))


def test_a_request_over_a_half_closed_connection_is_answered(port: int) -> None:
    with sockets.send(port, head(len(MATCH)) + MATCH) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert sockets.answer(connection).body == {"match": False}
