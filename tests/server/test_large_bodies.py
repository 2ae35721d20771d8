"""Large bodies over real sockets: in pieces of any size, ahead of others, too slow, too many at once."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sockets
from serving import serving

MEMBERS = 1500


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    settings = {"FACE128_ENGINES": "fake", "FACE128_BODY_SECONDS": "1", "FACE128_CLIENT_SECONDS": "2"}
    with serving(**settings) as client:
        yield client.base_url.port or 0


def body(seed: int, members: int = MEMBERS) -> bytes:
    """A list in which one member, another for each seed, has the probe's descriptor."""
    chance = random.Random(seed)
    members = [
        {"regNo": index, "name": f"Member {index}", "descriptor": [chance.uniform(-0.2, 0.2) for _ in range(128)]}
        for index in range(members)
    ]
    text = json.dumps({"descriptor": members[seed]["descriptor"], "enrolled": members}).encode()
    return text


def found(connection: socket.socket) -> object:
    reply = sockets.answer(connection)
    return reply.status, reply.body.get("regNo")


def test_a_body_in_pieces_of_any_size_is_the_same_body(port: int) -> None:
    text = body(7)
    for size in (len(text), 1_000_003, 65_536, 4_001):
        with sockets.send(port, sockets.head("/match", len(text), "application/json")) as connection:
            for start in range(0, len(text), size):
                connection.sendall(text[start : start + size])
            assert found(connection) == (200, 7)


def test_a_body_without_an_announced_length_gets_the_same_answer(port: int) -> None:
    text = body(8)
    with sockets.send(port, sockets.head("/match", "chunked", "application/json")) as connection:
        for start in range(0, len(text), 100_000):
            piece = text[start : start + 100_000]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert found(connection) == (200, 8)


def test_one_connection_carries_large_and_small_bodies_and_those_sent_ahead(port: int) -> None:
    large, other = body(9), body(1400)
    small = json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode()
    with sockets.connect(port) as connection:
        for text, expected in ((large, (200, 9)), (small, (200, None)), (other, (200, 1400)), (large, (200, 9))):
            connection.sendall(sockets.head("/match", len(text), "application/json") + text)
            assert found(connection) == expected
    requests = b"".join(sockets.head("/match", len(text), "application/json") + text for text in (large, small, other))
    with sockets.connect(port) as connection:
        connection.setblocking(True)
        connection.sendall(requests)  # the second and the third while the first is worked on
        with connection.makefile("rb") as stream:
            answers = [_next(stream) for _ in range(3)]
    assert [answer.get("regNo") for answer in answers] == [9, None, 1400]


def _next(stream: object) -> dict[str, object]:
    length = 0
    while line := stream.readline().strip():  # type: ignore[attr-defined]
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    answer: dict[str, object] = json.loads(stream.read(length))  # type: ignore[attr-defined]
    return answer


def test_who_waits_to_be_told_to_go_on_is_told(port: int) -> None:
    text = body(10)
    head = sockets.head("/match", len(text), "application/json").replace(
        b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"
    )
    with sockets.send(port, head) as connection:
        assert connection.recv(64) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(text)
        assert found(connection) == (200, 10)


def test_a_large_body_that_stops_is_told_and_one_that_goes_on_slowly_is_waited_for(port: int) -> None:
    text = body(11)
    with sockets.send(port, sockets.head("/match", len(text), "application/json") + text[:1000]) as connection:
        assert sockets.answer(connection).body["code"] == "too_slow"
    with sockets.send(port, sockets.head("/match", len(text), "application/json")) as connection:
        for start in range(0, len(text), len(text) // 8):  # 2 s in all, where a body of no bytes has 1
            time.sleep(0.25)
            connection.sendall(text[start : start + len(text) // 8])
        assert found(connection) == (200, 11)


def test_who_leaves_in_the_middle_leaves_nothing_behind(port: int) -> None:
    text = body(12)
    for _ in range(5):
        with sockets.send(port, sockets.head("/match", len(text), "application/json") + text[: len(text) // 2]):
            pass
    with sockets.send(port, sockets.head("/match", len(text), "application/json") + text) as connection:
        assert found(connection) == (200, 12)


def test_a_length_that_is_too_much_is_refused_before_it_comes(port: int) -> None:
    with sockets.send(port, sockets.head("/match", 65 * 2**20, "application/json")) as connection:
        assert sockets.answer(connection).body["code"] == "too_large"


def test_more_lists_at_once_than_may_wait_are_refused_and_the_others_answered() -> None:
    text = body(13)
    request = sockets.head("/match", len(text), "application/json") + text

    def ask(port: int) -> sockets.Answer:
        with sockets.send(port, request) as connection:
            return sockets.answer(connection)

    with serving(FACE128_ENGINES="fake", FACE128_QUEUE="0") as client, ThreadPoolExecutor(12) as pool:
        port = client.base_url.port or 0
        replies = list(pool.map(ask, [port] * 48))
        answered = [reply for reply in replies if reply.body.get("regNo") == 13]
        refused = [reply for reply in replies if sockets.overloaded(reply)]
        assert len(answered) + len(refused) == 48
        assert answered
        assert refused
        assert ask(port).body["regNo"] == 13
