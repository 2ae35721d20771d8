"""Mixed traffic for a running face128: /match, /encode-image and /match_face, with a check of each answer.

One thread sends requests that were built before, so that the client leaves the processors to the service.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import uvloop

from benchmarks.match import NUMBERS, match_request
from benchmarks.photos import portraits
from benchmarks.services import MAX_IDLE_S, Request, Service, upload

MEMBERS = 100
PROBES = 20
PEOPLE = ("biden", "hopper", "obama", "obama", "obama")
"""The person of each portrait."""
ENROLLED = (0, 1, 2)  # one portrait of each person
MIX = ("/match", "/encode-image", "/match", "/match_face", "/match")
ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Call:
    path: str
    raw: bytes
    """The whole HTTP request."""
    expected: dict[str, Any]


@dataclass
class Outcome:
    """The answers to the calls, by path."""

    seconds: float = 0.0
    correct: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """503 ``overloaded`` with Retry-After."""
    wrong: list[str] = field(default_factory=list)
    """Descriptions of all other answers and of failed calls."""
    times_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of the correct answers."""

    def rates(self) -> dict[str, float]:
        """Correct answers per second by path."""
        return {path: count / self.seconds for path, count in self.correct.items()}


def prepare(service: Service) -> dict[str, list[Call]]:
    """Enrol the people, and build the calls of each path."""
    photos = portraits(1)
    for index in ENROLLED:
        service.send(_enrolment(photos[index], PEOPLE[index]))
    calls: dict[str, list[Call]] = {"/match": [_match(seed) for seed in range(PROBES)]}
    calls["/encode-image"] = [Call(u.path, raw(u), json.loads(service.send(u))) for u in map(upload, photos)]
    descriptors = np.array([call.expected["descriptor"] for call in calls["/encode-image"]])
    calls["/match_face"] = []
    for photo, descriptor in zip(photos, descriptors, strict=True):
        face = replace(upload(photo), path="/match_face")
        distances = np.linalg.norm(descriptors[list(ENROLLED)] - descriptor, axis=1)
        person = PEOPLE[ENROLLED[int(distances.argmin())]]
        granted = {"status": "access_granted", "user_id": person, "name": person}
        expected = granted if distances.min() <= 0.38 else {"status": "access_denied"}
        calls["/match_face"].append(Call(face.path, raw(face), expected))
    return calls


def _match(seed: int) -> Call:
    """A request with random members, and the answer by the definition of the threshold rule."""
    request = match_request(MEMBERS, NUMBERS, seed)
    document = json.loads(request.body or b"")
    members = np.array([member["descriptor"] for member in document["enrolled"]])
    distances = np.linalg.norm(members - np.array(document["descriptor"]), axis=1)
    nearest = document["enrolled"][int(distances.argmin())]
    match = {"regNo": nearest["regNo"], "name": nearest["name"]}
    return Call(request.path, raw(request), match if distances.min() <= 0.38 else {"match": False})


def _enrolment(photo: bytes, person: str) -> Request:
    request = upload(photo)
    boundary = request.content_type.partition("boundary=")[2]
    name = f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{person}\r\n'
    return Request(f"/enroll_faces/{person}?replace=true", name.encode() + (request.body or b""), request.content_type)


def raw(request: Request) -> bytes:
    content = request.body or b""
    head = f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.content_type}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def in_order(calls: dict[str, list[Call]], mix: tuple[str, ...] = MIX) -> Callable[[], Call]:
    """A function that gives the next call, with the paths in the order of ``mix``."""
    turns = {path: cycle(some) for path, some in calls.items()}
    paths = cycle(mix)
    return lambda: next(turns[next(paths)])


def closed_loop(port: int, next_call: Callable[[], Call], clients: int, seconds: float) -> Outcome:
    """Each client sends its next call when it has an answer."""
    outcome = Outcome()

    async def client(end: float) -> None:
        connection = _Connection(port)
        while time.perf_counter() < end:
            await connection.call(next_call(), outcome)
        connection.close()

    async def run() -> None:
        start = time.perf_counter()
        await asyncio.gather(*(client(start + seconds) for _ in range(clients)))
        outcome.seconds = time.perf_counter() - start

    uvloop.run(run())
    return outcome


def open_loop(service: Service, next_call: Callable[[], Call], rate: float, seconds: float) -> Outcome:
    """Send ``rate`` calls per second, without waiting for answers."""
    outcome = Outcome()
    idle: list[_Connection] = []

    async def call() -> None:
        connection = idle.pop() if idle else _Connection(service.port)
        await connection.call(next_call(), outcome)
        idle.append(connection)

    async def run() -> None:
        start = time.perf_counter()
        running: set[asyncio.Task[None]] = set()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            running.add(task := asyncio.create_task(call()))
            task.add_done_callback(running.discard)
        outcome.seconds = time.perf_counter() - start
        await asyncio.gather(*running)
        for connection in idle:
            connection.close()

    uvloop.run(run())
    return outcome


class _Connection:
    """A connection that stays open between calls, and is opened again before the service would close it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._last_used = 0.0

    async def call(self, call: Call, outcome: Outcome) -> None:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                status, headers, content = await self._exchange(call.raw)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            outcome.wrong.append(f"{call.path}: {type(error).__name__} {error}")
            return
        answer = json.loads(content)
        if status == 200 and answer == call.expected:
            outcome.correct[call.path] += 1
            outcome.times_ms[call.path].append(1e3 * (time.perf_counter() - start))
        elif status == 503 and answer.get("code") == "overloaded" and int(headers.get("retry-after", 0)) >= 1:
            outcome.refused[call.path] += 1
        else:
            outcome.wrong.append(f"{call.path}: {status} {content[:200]!r}")

    async def _exchange(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams and time.perf_counter() - self._last_used > MAX_IDLE_S:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers["content-length"]))
        self._last_used = time.perf_counter()
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers, content

    def close(self) -> None:
        if self._streams is not None:
            with suppress(OSError):
                self._streams[1].close()
            self._streams = None
