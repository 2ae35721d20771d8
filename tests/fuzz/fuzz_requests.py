"""Mutated requests over raw sockets: heads, chunks, trailers and pipelines, and what must come back.

``plain_requests`` says which requests the bytes are. Each of these must be answered as if it had come alone, in the
plainest form; what is no request is answered with a 4xx, or not at all. Every request has an ``X-Request-ID`` of its
own, the requests hidden in bodies too: an answer to one of those would tell.

Case N is always the same: ``python tests/fuzz/fuzz_requests.py PORT N`` repeats it with a service that runs.
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache

import plain_requests
from mutating import Mutator
from plain_requests import Reading, Request

MATCH = json.dumps(
    {
        "descriptor": [0.25] * 128,
        "enrolled": [{"regNo": number, "name": "n", "descriptor": [0.25 + number / 1000] * 128} for number in range(2)],
    }
).encode()
HIDDEN = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: hidden\r\n\r\n"
HIDDEN_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n%s\r\n--b--\r\n' % HIDDEN
FRAMING = (b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade")


def _request(line: str, *fields: str, body: bytes = b"", chunks: int = 0, trailer: bytes = b"") -> bytes:
    method, target, _ = line.split()
    lines = [line, "Host: localhost", f"X-Request-ID: {method}{target.replace('/', '.')}", *fields]
    if chunks:
        lines.append("Transfer-Encoding: chunked")
        size = -(-len(body) // chunks)
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        body = b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


JSON_TYPE = "Content-Type: application/json"
PLAIN = [
    _request("POST /match HTTP/1.1", JSON_TYPE, body=MATCH),
    _request("POST /match?explain=true HTTP/1.1", JSON_TYPE, body=MATCH, chunks=3),
    _request("POST /match HTTP/1.1", JSON_TYPE, body=HIDDEN),
    _request("POST /match HTTP/1.1", JSON_TYPE, body=HIDDEN, chunks=2, trailer=b"X-Request-ID: hidden\r\n"),
    _request("POST /match HTTP/1.1", JSON_TYPE, body=HIDDEN_CHUNK),
    _request("POST /encode-image HTTP/1.1", "Content-Type: multipart/form-data; boundary=b", body=FORM),
    _request("POST /nothing HTTP/1.1", body=HIDDEN),
    _request("POST /match HTTP/1.1", JSON_TYPE, "Connection: Upgrade", "Upgrade: h2c", body=HIDDEN),
    _request("POST /match HTTP/1.1", JSON_TYPE, "Expect: 100-continue", body=MATCH),
    _request("GET /health HTTP/1.1"),
    _request("HEAD /health HTTP/1.1", "Connection: keep-alive"),
]
LAST = [
    _request("POST /match HTTP/1.0", JSON_TYPE, body=MATCH),
    _request("POST /match HTTP/1.1", JSON_TYPE, "Connection: close", body=MATCH, chunks=1) + HIDDEN,
]
PIPELINES = [PLAIN[i] + PLAIN[j] + PLAIN[k] for i, j, k in ((0, 2, 9), (1, 6, 0), (3, 5, 10), (7, 4, 8), (10, 1, 2))]
LINES = [
    b"", b" ", b" folded", b"Accept: */*", b"Cookie: a=b; c=\xff", b"X-Request-ID: other", b"X:",
    b"Host: localhost", b"Host: y", b"Connection: close", b"Connection: keep-alive, TE", b"0",
    b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 5, 5",
    b"Content-Length: %d" % len(MATCH), b"Content-Length: +5", b"Content-Length: 99999999999", b"Content-Length:",
    b"Expect: 100-continue", b"Transfer-Encoding: chunked", b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding:",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer_Encoding: chunked", b"X: \nTransfer-Encoding: chunked", b"5", b"5;a=",
    b"GET /health HTTP/1.1", b"CONNECT localhost:80 HTTP/1.1", b"PRI * HTTP/2.0", b"X: \r\rY: z", HIDDEN, HIDDEN_CHUNK,
    b"X-Long: " + b"x" * 70_000, b"5;" + b"x" * 70_000, b"a:\r\n" * 3_000, b"1\r\nx\r\n" * 300,
]  # fmt: skip
TOKENS = [
    *LINES, b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b"\x0b", b":", b";", b",", b"\xa0", b"\xff",
    b"HTTP/1.0", b"HTTP/1.1", b"GET ", b"HEAD ", b"CONNECT ", b"http://localhost/", b"-1", b"+", b"0x", b"f" * 16,
]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[bytes, bytes]
    body: bytes


class Requests:
    def __init__(self, port: int) -> None:
        self._port = port
        self._mutator = Mutator(PLAIN + LAST + PIPELINES, TOKENS)
        self._alone = lru_cache(10_000)(self._ask_alone)

    def check(self, number: int) -> str:
        """Send case ``number``. Returns its outcome in a word, and raises AssertionError."""
        dice = random.Random(f"requests/{number}")
        sent = _change_lines(dice, dice.choice(self._mutator.seeds)) if dice.random() < 0.5 else self._mutator(dice)
        if dice.random() < 0.05:
            self._send_and_reset(sent)
            return "left"
        reading = plain_requests.read(sent)
        received = self._exchange(sent, dice.choice((1, 1, 2, 5)))
        try:
            return self._compare(reading, received)
        except (AssertionError, ValueError, LookupError) as error:
            exchange = f"{sent!r:.1500} was answered {received!r:.1500}"
            raise AssertionError(f"requests {number}: {error!r}: {exchange}") from error

    def _compare(self, reading: Reading, received: bytes) -> str:
        requests = list(reading.requests)
        if reading.begun:
            requests.append(reading.begun)
        answers = _answers(received, [request.method for request in requests])
        ended = False
        for answer, request in zip(answers, reading.requests, strict=False):
            self._check_answer(answer, request)
            ended = answer.fields.get(b"connection") == b"close"
        if ended:  # after a refusal, or because the client asked for it
            assert len(answers) <= len(reading.requests)
            return f"{answers[-1].status} and closed"
        assert len(answers) >= len(reading.requests), "an answer is missing"
        rest = answers[len(reading.requests) :]
        assert len(rest) <= 1, "an answer that nobody asked for"
        if not rest:
            assert reading.end != "refused", "not refused"
            return f"{answers[-1].status}" if answers else "no answer"
        assert reading.end != "nothing"
        if rest[0].status >= 400:
            assert rest[0].status < 500
        else:  # given before the body was read
            assert reading.begun
            self._check_answer(rest[0], reading.begun)
        return f"{reading.end} {rest[0].status}"

    def _check_answer(self, answer: Answer, request: Request) -> None:
        given = b"".join(request.values(b"x-request-id")[:1])
        identifier = answer.fields[b"x-request-id"]
        assert identifier == given if re.fullmatch(rb"[A-Za-z0-9._:-]{1,64}", given) else identifier != b"hidden"
        if request.target.startswith((b"/metrics", b"/ready")):
            return  # they change
        fields = tuple((name, value) for name, value in request.fields if name not in FRAMING)
        alone = self._alone(request.method, request.target, request.version, fields, request.body)
        assert answer.status == alone.status < 500, f"alone it is {alone.status}"
        assert answer.body == alone.body, f"alone it is {alone.body!r}"

    def _ask_alone(
        self, method: bytes, target: bytes, version: bytes, fields: tuple[tuple[bytes, bytes], ...], body: bytes
    ) -> Answer:
        """The answer to this request as the only one, and in the plainest form."""
        framing = (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")
        lines = [b"%s: %s\r\n" % field for field in (*fields, *framing)]
        request = b"%s %s HTTP/%s\r\n" % (method, target, version) + b"".join(lines) + b"\r\n" + body
        (answer,) = _answers(self._exchange(request, 1), [method])
        return answer

    def _exchange(self, sent: bytes, pieces: int) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            size = -(-len(sent) // pieces) or 1
            for at in range(0, len(sent), size):
                connection.sendall(sent[at : at + size])
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def _send_and_reset(self, sent: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(sent)


def _change_lines(dice: random.Random, sent: bytes) -> bytes:
    lines = sent.split(b"\r\n")
    for _ in range(dice.choice((1, 1, 1, 2))):
        at = dice.randrange(len(lines) or 1)
        match dice.randrange(5):
            case 0 | 1:
                lines.insert(at, dice.choice(LINES))
            case 2:
                lines[at : at + 1] = [dice.choice(LINES)]
            case 3:
                del lines[at]
            case 4:
                lines.insert(at, dice.choice(lines))
    return b"\r\n".join(lines)


def _answers(received: bytes, methods: list[bytes]) -> list[Answer]:
    found: list[Answer] = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        assert status_line.startswith(b"HTTP/1.1 "), f"{status_line!r}"
        status = int(status_line.split()[1])
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        has_body = methods[len(found) : len(found) + 1] != [b"HEAD"] or b"x-request-id" not in fields
        length = int(fields.get(b"content-length", 0)) if has_body else 0
        assert len(rest) >= length, "half an answer"
        received = rest[length:]
        if status != 100:
            found.append(Answer(status, fields, rest[:length]))
    return found


if __name__ == "__main__":
    print(Requests(int(sys.argv[1])).check(int(sys.argv[2])))
