"""parser.py: whatever the pieces that arrive, it reads what h11 itself reads."""

from __future__ import annotations

import random
from itertools import pairwise

import h11

from face128.server.parser import Parser

BODY = bytes(range(256)) * 40
HEAD = b"POST /match HTTP/1.1\r\nHost: localhost\r\n"
REQUESTS = (
    HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (size, BODY[:size]) for size in (1, 300, 9000)) + b"0\r\nTrailer: x\r\n\r\n"
    + HEAD + b"Content-Length: 0\r\n\r\n"
    + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
)  # fmt: skip


def read(connection: h11.Connection, pieces: list[bytes]) -> list[tuple[bytes, bytes, list[tuple[bytes, bytes]]]]:
    """Of each request its target, its body and its trailers; all are answered as they come."""
    requests: list[tuple[bytes, bytes, list[tuple[bytes, bytes]]]] = []
    target, body = b"", b""
    for piece in pieces:
        connection.receive_data(piece)
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                target, body = event.target, b""
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                requests.append((target, body, list(event.headers)))
                connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
        if isinstance(connection, Parser):
            connection.next_turn()
    assert connection.trailing_data == (b"", False)
    return requests


def test_requests_in_pieces_of_any_size_are_read_as_h11_reads_them() -> None:
    expected = read(h11.Connection(h11.SERVER), [REQUESTS])
    assert [len(body) for _, body, _ in expected] == [len(BODY), 9301, 0, 0]
    chance = random.Random(1)
    for cuts in [1, 2, 5, 20, 200] * 40:
        ends = sorted(chance.choices(range(len(REQUESTS)), k=cuts))
        pieces = [REQUESTS[start:end] for start, end in pairwise([0, *ends, len(REQUESTS)]) if end > start]
        assert read(Parser(5), pieces) == expected


def test_a_chunk_that_is_all_body_is_not_copied() -> None:
    parser = Parser(5)
    parser.receive_data(HEAD + b"Content-Length: %d\r\n\r\n" % (3 * len(BODY)))
    parser.next_event()
    for _ in range(3):
        parser.receive_data(BODY)
        assert parser.next_event().data is BODY
    assert type(parser.next_event()) is h11.EndOfMessage
