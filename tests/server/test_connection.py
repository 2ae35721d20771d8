"""connection.py and api/middleware: clients that are slow, silent, gone, or too many; over real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import poisoned
import pytest
import sockets
from serving import serving

MIB = 2**20
MOST = 12  # connections
HUNG_UP = (ConnectionResetError, BrokenPipeError)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line for each photo that was begun."""
    return tmp_path_factory.mktemp("begun") / "log"


@pytest.fixture(scope="module")
def port(begun: Path) -> Iterator[int]:
    settings = poisoned.settings(
        POISON_LOG=str(begun),
        FACE128_THREADS="1",
        FACE128_QUEUE="4",
        FACE128_MAX_CONNECTIONS=str(MOST),
        FACE128_MAX_BODY_MEMORY=str(2 * MIB),
        FACE128_BODY_SECONDS="1",
        FACE128_CLIENT_SECONDS="1",
    )
    with serving(**settings) as client:
        yield client.base_url.port or 0


@pytest.fixture(autouse=True)
def as_usual(port: int) -> Iterator[None]:
    """After each test the service answers as if nothing had been."""
    yield
    reply = _encode(port, poisoned.HARMLESS)
    assert reply.status == 200, reply


def _encode(port: int, width: int) -> sockets.Answer:
    with _start(port, width) as connection:
        return sockets.answer(connection)


def _start(port: int, width: int) -> socket.socket:
    photo = poisoned.photo(width)
    return sockets.send(port, sockets.head("/encode-image", len(photo)) + photo)


def _get(port: int, path: str) -> sockets.Answer:
    with sockets.send(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as connection:
        return sockets.answer(connection)


def _match(port: int) -> sockets.Answer:
    body = json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode()
    with sockets.send(port, sockets.head("/match", len(body)) + body) as connection:
        return sockets.answer(connection)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestSlowClients:
    @pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow", b"\x00", b"A"])
    def test_a_head_that_does_not_end_costs_the_connection(self, port: int, sent: bytes) -> None:
        with sockets.send(port, sent) as connection:
            if sent == b"\x00":  # not HTTP at all: told at once
                assert connection.recv(64).startswith(b"HTTP/1.1 400")
            assert sockets.hung_up(connection) or sent == b"\x00"

    def test_a_head_that_comes_drop_by_drop_costs_the_connection(self, port: int) -> None:
        with sockets.send(port, b"GET /health HTTP/1.1\r\n") as connection, pytest.raises(HUNG_UP):
            sockets.keep_sending(connection, b"X: y\r\n", 200, pause=0.05)

    def test_a_second_request_has_no_more_time_than_the_first(self, port: int) -> None:
        with sockets.send(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
            assert sockets.answer(connection).status == 200
            connection.sendall(b"GET /health HTTP/1.1\r\n")
            assert sockets.hung_up(connection)

    def test_a_head_without_end_is_cut_off(self, port: int) -> None:
        with sockets.send(port, b"GET /health HTTP/1.1\r\nX-Long: ") as connection, pytest.raises(HUNG_UP):
            sockets.keep_sending(connection, b"x" * 10_000, 10_000)

    @pytest.mark.parametrize("path", ["/encode-image", "/match", "/records", "/batch-extract"])
    def test_a_body_that_stops_is_answered_408(self, port: int, path: str) -> None:
        kind = "multipart/form-data; boundary=x" if path == "/records" else "application/json"
        begin = b"--x\r\n" if path == "/records" else b"{"
        with sockets.send(port, sockets.head(path, 1000, kind) + begin) as connection:
            reply = sockets.answer(connection)
            assert (reply.status, reply.body["code"]) == (408, "too_slow")
            assert sockets.hung_up(connection)

    def test_a_body_that_comes_drop_by_drop_is_answered_408(self, port: int) -> None:
        with sockets.send(port, sockets.head("/encode-image", 100_000)) as connection:
            for _ in range(200):
                connection.sendall(b"x")
                time.sleep(0.05)
                connection.settimeout(0.001)
                try:
                    connection.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                finally:
                    connection.settimeout(30)
                break
            assert sockets.answer(connection).body["code"] == "too_slow"

    def test_a_client_that_does_not_read_costs_the_connection(self, port: int) -> None:
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with sockets.connect(port, receive=4096) as connection, pytest.raises(HUNG_UP):
            sockets.keep_sending(connection, ask * 100, 100_000)


class TestLostClients:
    def test_work_that_has_not_begun_is_dropped(self, port: int, begun: Path) -> None:
        before = len(begun.read_text().splitlines())
        first = _start(port, poisoned.TAKES_TWO_SECONDS)
        until(lambda: len(begun.read_text().splitlines()) == before + 1)
        for waiting in [_start(port, poisoned.TAKES_TWO_SECONDS) for _ in range(4)]:
            waiting.close()
        until(lambda: _encode(port, poisoned.HARMLESS).status == 200)
        assert sockets.answer(first).status == 200
        assert begun.read_text().splitlines()[before:] == ["19", "23"]

    def test_half_a_body_and_gone(self, port: int) -> None:
        for _ in range(20):
            sockets.send(port, sockets.head("/encode-image", MIB) + b"x" * 1000).close()
        until(lambda: _encode(port, poisoned.HARMLESS).status == 200)


class TestHalfClosedConnections:
    """The client has ended its side, and waits for what it has asked for."""

    @pytest.mark.parametrize("width", [poisoned.HARMLESS, poisoned.TAKES_TWO_SECONDS])
    def test_a_photo_is_answered(self, port: int, width: int) -> None:
        with _start(port, width) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert sockets.answer(connection).status == 200
            assert sockets.hung_up(connection)

    def test_every_request_that_was_sent_is_answered(self, port: int) -> None:
        body = json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode()
        match = sockets.head("/match", len(body), "application/json") + body
        photo = poisoned.photo(poisoned.TAKES_TWO_SECONDS)
        request = sockets.head("/encode-image", len(photo)) + photo
        with sockets.send(port, match + request + match + request[:-10]) as connection:
            connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.count(b"HTTP/1.1 200 OK\r\n") == received.count(b"HTTP/1.1") == 3

    def test_a_client_that_leaves_after_it_is_noticed(self, port: int, begun: Path) -> None:
        before = len(begun.read_text().splitlines())
        running = _start(port, poisoned.TAKES_TWO_SECONDS)
        until(lambda: len(begun.read_text().splitlines()) == before + 1)
        waiting = _start(port, poisoned.TAKES_TWO_SECONDS)
        waiting.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
        waiting.close()
        assert sockets.answer(running).status == 200
        assert _encode(port, poisoned.HARMLESS).status == 200
        assert begun.read_text().splitlines()[before:] == ["19", "23"]


class TestTooMuch:
    def test_a_body_for_which_there_is_no_room_is_refused_before_it_is_sent(self, port: int) -> None:
        large = sockets.head("/encode-image", MIB)
        held = [sockets.send(port, large) for _ in range(2)]
        sockets.settle(port)
        with sockets.send(port, large) as third:
            assert sockets.overloaded(sockets.answer(third))
        assert _match(port).status == 200  # what is small has room
        for connection in held:
            connection.close()
        photo = poisoned.photo(poisoned.HARMLESS)
        padded = photo + b"\0" * (MIB - len(photo))  # after its end a PNG may have anything

        def has_room() -> bool:
            with sockets.send(port, large + padded) as connection:
                return sockets.answer(connection).status == 200

        until(has_room)

    def test_chunks_without_an_announced_length_count_as_they_come(self, port: int) -> None:
        chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
        head = sockets.head("/encode-image", "chunked")
        with sockets.send(port, sockets.head("/encode-image", MIB)), sockets.send(port, head + chunk) as connection:
            sockets.settle(port)
            connection.sendall(chunk)
            assert sockets.overloaded(sockets.answer(connection))

    def test_a_photo_for_which_the_queue_has_no_place_is_refused_before_it_is_sent(
        self, port: int, begun: Path
    ) -> None:
        before = len(begun.read_text().splitlines())
        running = [_start(port, poisoned.TAKES_TWO_SECONDS)]
        until(lambda: len(begun.read_text().splitlines()) == before + 1)
        running += [_start(port, poisoned.HARMLESS) for _ in range(4)]
        sockets.settle(port)
        for path in ("/encode-image", "/compare", "/enroll_faces/x", "/records/match"):
            with sockets.send(port, sockets.head(path, 1000)) as connection:
                assert sockets.overloaded(sockets.answer(connection)), path
        with sockets.send(port, sockets.head("/match_face", 1000)) as connection:
            reply = sockets.answer(connection)
            assert sockets.overloaded(reply)
            assert reply.body["status"] == "access_denied"
        assert [sockets.answer(connection).status for connection in running] == [200] * 5

    def test_idle_connections_make_way(self, port: int) -> None:
        idle = [sockets.connect(port) for _ in range(10 * MOST)]
        assert _get(port, "/health").status == 200
        assert _encode(port, poisoned.HARMLESS).status == 200
        for connection in idle:
            connection.close()

    def test_beyond_the_limit_health_answers_and_the_rest_is_told(self, port: int) -> None:
        announced = 128 * 1024  # for which they have 3 seconds
        busy = [sockets.send(port, sockets.head("/match", announced)) for _ in range(MOST)]
        sockets.settle(port)
        assert sockets.overloaded(_match(port))
        assert [_get(port, path).status for path in ("/health", "/ready")] == [200, 200]
        assert [sockets.answer(connection).body["code"] for connection in busy] == ["too_slow"] * MOST
        assert _match(port).status == 200


def test_a_keep_alive_client_that_sends_a_body_after_an_early_answer_goes_on(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        huge = client.post("/match", content=b"x" * (65 * MIB), headers={"Content-Type": "application/json"})
        assert (huge.status_code, huge.json()["code"]) == (413, "too_large")
        assert client.get("/health").status_code == 200
