"""Requests that are meant to be read in two ways, or to take what they may not; over raw sockets."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import sockets
from serving import serving

KEY = "a key that is long enough to be none that one guesses"
MATCH = json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode()
HIDDEN = b"DELETE /records/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake", FACE128_CLIENT_SECONDS="2") as client:
        yield client


@pytest.fixture(scope="module")
def port(service: httpx.Client) -> int:
    return service.base_url.port or 0


def head(length: int, *lines: str) -> bytes:
    fields = ("Host: localhost", "Content-Type: application/json", f"Content-Length: {length}", *lines)
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
    request = sockets.head("/match", "chunked", "application/json")
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


def with_length(*lines: str) -> bytes:
    """A match whose body's length is told by these lines instead of its own."""
    return head(len(MATCH)).replace(b"Content-Length: %d" % len(MATCH), "\r\n".join(lines).encode()) + MATCH


LENGTH = f"Content-Length: {len(MATCH)}"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost : y\r\n\r\n",
        b"GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\rContent-Length: 5\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        b"GET /health\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        with_length(LENGTH, f"Content-Length: {len(MATCH) + 1}"),
        with_length(f"{LENGTH}, {len(MATCH) - 1}"),
        with_length(f"Content-Length: {'9' * 4000}"),
        with_length(f"Content-Length: +{len(MATCH)}"),
        with_length(f"Content-Length: -{len(MATCH)}"),
        with_length(f"Content-Length: {len(MATCH):#x}"),
        with_length("Content-Length: "),
        with_length("Content-Length: \u0661\u0662"),
        with_length(LENGTH, CHUNKED),
        with_length(CHUNKED, LENGTH),
        with_length(CHUNKED, CHUNKED),
        with_length("Transfer-Encoding: gzip, chunked"),
        with_length("Transfer-Encoding: chunked, identity"),
        with_length("Transfer-Encoding: identity"),
        with_length("Transfer-Encoding: xchunked"),
        with_length("Transfer-Encoding: \x0bchunked"),
        with_length(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=lambda request: request[:300].decode("latin-1").partition("{")[0],
)
def test_a_request_that_can_be_read_in_two_ways_is_a_400(port: int, request_head: bytes) -> None:
    with sockets.send(port, request_head + HIDDEN) as connection:
        reply = sockets.answer(connection)
        assert (reply.status, reply.body["code"]) == (400, "bad_request")
        assert reply.headers["connection"] == "close"
        assert all_of(connection) == b""


@pytest.mark.parametrize(
    "chunk",
    [b"+%x\r\n", b"-%x\r\n", b"0x%x\r\n", b" %x\r\n", b"%x\n", b"%x;a\nb\r\n", b"%x,\r\n", b"\r\n%x\r\n", b"%021x\r\n"],
)
def test_a_chunk_whose_size_is_no_plain_number_is_a_400(port: int, chunk: bytes) -> None:
    request = chunked(b"\r\n").replace(b"\r\n%x\r\n" % len(MATCH), b"\r\n" + chunk % len(MATCH))
    with sockets.send(port, request + HIDDEN) as connection:
        assert sockets.answer(connection).body["code"] == "bad_request"
        assert all_of(connection) == b""


@pytest.mark.parametrize("excess", [-1, 1])
def test_a_chunk_that_is_not_as_long_as_it_says_is_a_400(port: int, excess: int) -> None:
    wrong = b"%x\r\n%s" % (len(MATCH) + excess, MATCH)
    request = chunked(b"\r\n").replace(b"%x\r\n%s" % (len(MATCH), MATCH), wrong)
    with sockets.send(port, request + HIDDEN) as connection:
        assert sockets.answer(connection).body["code"] == "bad_request"
        assert all_of(connection) == b""


def test_what_comes_after_the_last_request_is_not_run(port: int) -> None:
    for last in (head(len(MATCH), "Connection: close"), head(len(MATCH)).replace(b"HTTP/1.1", b"HTTP/1.0")):
        with sockets.send(port, last + MATCH + HIDDEN) as connection:
            assert sockets.answer(connection).body == {"match": False}
            connection.sendall(HIDDEN)
            assert all_of(connection) == b""


def test_only_a_client_that_has_sent_its_body_may_send_another_request(port: int) -> None:
    """It waits to be told to go on, is refused instead, and may leave the body out."""
    with sockets.send(port, head(2**40, "Expect: 100-continue")) as connection:
        reply = sockets.answer(connection)
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        connection.sendall(HIDDEN)
        assert all_of(connection) == b""


class TestSizeOfHeadAndTrailers:
    """All of a request besides its body has 64 KiB together, however it arrives."""

    def request(self, in_head: int, in_extension: int = 0, in_trailers: int = 0) -> bytes:
        plain = chunked(b"X-Trailer: %s\r\n" % (b"x" * in_trailers) if in_trailers else b"", b"\r\n")
        plain = plain.replace(b"\r\n", b"\r\nX-Long: %s\r\n" % (b"x" * in_head), 1)
        size = b"\r\n%x" % len(MATCH)
        return plain.replace(size, size + b";%s" % (b"x" * in_extension))

    @pytest.mark.parametrize(
        "sizes",
        [(65_100, 0, 0), (0, 65_100, 0), (0, 0, 65_100), (21_000, 21_000, 21_000)],
        ids=["head", "extension", "trailers", "all"],
    )
    def test_up_to_the_bound_it_is_answered(self, port: int, sizes: tuple[int, int, int]) -> None:
        with sockets.send(port, self.request(*sizes)) as connection:
            assert sockets.answer(connection).body == {"match": False}

    @pytest.mark.parametrize("pieces", [1, 3])
    @pytest.mark.parametrize(
        "sizes",
        [(65_600, 0, 0), (250_000, 0, 0), (0, 65_600, 0), (0, 0, 65_600), (0, 0, 250_000), (22_000, 22_000, 22_000)],
        ids=["head", "long head", "extension", "trailers", "long trailers", "all"],
    )
    def test_beyond_it_is_a_431(self, port: int, sizes: tuple[int, int, int], pieces: int) -> None:
        request = self.request(*sizes)
        with sockets.connect(port) as connection:
            for start in range(0, len(request), len(request) // pieces):
                connection.sendall(request[start : start + len(request) // pieces])
                time.sleep(0.05 * (pieces > 1))
            reply = sockets.answer(connection)
            assert (reply.status, reply.body["code"]) == (431, "head_too_large")
            assert all_of(connection) == b""

    def test_the_next_request_of_the_connection_has_as_much(self, port: int) -> None:
        with sockets.send(port, 3 * self.request(20_000, 20_000, 20_000)) as connection:
            assert all_of(connection).count(b'{"match":false}') == 3


def test_a_body_in_the_smallest_chunks_holds_up_nobody(port: int) -> None:
    """h11 needs a while for it; others are served in between."""
    body = MATCH + b" " * 60_000
    small = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    request = sockets.head("/match", "chunked", "application/json") + small
    with sockets.send(port, request) as connection:
        began = time.monotonic()
        served = 0
        while not select.select([connection], [], [], 0)[0]:
            with sockets.send(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as other:
                assert sockets.answer(other).status == 200
            served += 1
            assert time.monotonic() - began < 60
        assert sockets.answer(connection).body == {"match": False}
        assert served > 3
