"""Mixed traffic for a running face128, each answer held against the truth: /match, /encode-image and /match_face.

One thread sends everything, as bytes made beforehand: the service, not its client, is to be short of processors.
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

from benchmarks.match import NUMBERS, body
from benchmarks.photos import portraits
from benchmarks.services import Request, Service, upload

MEMBERS = 100
PROBES = 20
PEOPLE = ("biden", "hopper", "obama", "obama", "obama")
"""Who is on each of the portraits."""
ENROLLED = (0, 1, 2)  # one portrait of each of them
MIX = ("/match", "/encode-image", "/match", "/match_face", "/match")
SLOW = 60.0  # seconds until an answer counts as lost


@dataclass(frozen=True)
class Call:
    path: str
    raw: bytes
    """The whole request as it goes over the wire."""
    right: dict[str, Any]


@dataclass
class Outcome:
    """What came of the calls."""

    seconds: float = 0.0
    right: Counter[str] = field(default_factory=Counter)
    """Right answers by path."""
    refused: Counter[str] = field(default_factory=Counter)
    """503 ``overloaded`` with Retry-After, by path."""
    wrong: list[str] = field(default_factory=list)
    """Everything else."""
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds of the right answers by path."""

    def rates(self) -> dict[str, float]:
        """Right answers a second by path."""
        return {path: count / self.seconds for path, count in self.right.items()}


def prepare(service: Service) -> dict[str, list[Call]]:
    """Enrol the people, and make the calls of each path."""
    photos = portraits(1)
    for index in ENROLLED:
        service.send(_enrolment(photos[index], PEOPLE[index]))
    calls: dict[str, list[Call]] = {"/match": [_match(seed) for seed in range(PROBES)]}
    calls["/encode-image"] = [Call(u.path, _raw(u), json.loads(service.send(u))) for u in map(upload, photos)]
    seen = np.array([call.right["descriptor"] for call in calls["/encode-image"]])
    calls["/match_face"] = []
    for photo, descriptor in zip(photos, seen, strict=True):
        face = replace(upload(photo), path="/match_face")
        away = np.linalg.norm(seen[list(ENROLLED)] - descriptor, axis=1)
        person = PEOPLE[ENROLLED[int(away.argmin())]]
        granted = {"status": "access_granted", "user_id": person, "name": person}
        right = granted if away.min() <= 0.38 else {"status": "access_denied"}
        calls["/match_face"].append(Call(face.path, _raw(face), right))
    return calls


def _match(seed: int) -> Call:
    """A search among made-up members, and its answer by the plain definition."""
    request = body(MEMBERS, NUMBERS, seed)
    asked = json.loads(request.body or b"")
    away = np.linalg.norm(
        np.array([m["descriptor"] for m in asked["enrolled"]]) - np.array(asked["descriptor"]), axis=1
    )
    nearest = asked["enrolled"][int(away.argmin())]
    found = {"regNo": nearest["regNo"], "name": nearest["name"]} if away.min() <= 0.38 else {"match": False}
    return Call(request.path, _raw(request), found)


def _enrolment(photo: bytes, person: str) -> Request:
    request = upload(photo)
    boundary = request.content_type.partition("boundary=")[2]
    name = f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{person}\r\n'
    return Request(f"/enroll_faces/{person}?replace=true", name.encode() + (request.body or b""), request.content_type)


def _raw(request: Request) -> bytes:
    content = request.body or b""
    head = f"POST {request.path} HTTP/1.1\r\nHost: face128\r\nContent-Type: {request.content_type}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def mixed(calls: dict[str, list[Call]], mix: tuple[str, ...] = MIX) -> Callable[[], Call]:
    """Gives one call after the other, in the order of the mix."""
    turns = {path: cycle(some) for path, some in calls.items()}
    paths = cycle(mix)
    return lambda: next(turns[next(paths)])


def closed(service: Service, next_call: Callable[[], Call], clients: int, seconds: float) -> Outcome:
    """So many clients, each of which sends again as soon as it has its answer."""
    outcome = Outcome()

    async def client(end: float) -> None:
        connection = _Connection(service.port)
        while time.perf_counter() < end:
            await connection.call(next_call(), outcome)
        connection.close()

    async def run() -> None:
        start = time.perf_counter()
        await asyncio.gather(*(client(start + seconds) for _ in range(clients)))
        outcome.seconds = time.perf_counter() - start

    uvloop.run(run())
    return outcome


def paced(service: Service, next_call: Callable[[], Call], rate: float, seconds: float) -> Outcome:
    """So many calls a second, whatever becomes of those before."""
    outcome = Outcome()
    free: list[_Connection] = []

    async def one() -> None:
        connection = free.pop() if free else _Connection(service.port)
        await connection.call(next_call(), outcome)
        free.append(connection)

    async def run() -> None:
        start = time.perf_counter()
        running: set[asyncio.Task[None]] = set()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            running.add(task := asyncio.create_task(one()))
            task.add_done_callback(running.discard)
        outcome.seconds = time.perf_counter() - start
        await asyncio.gather(*running)
        for connection in free:
            connection.close()

    uvloop.run(run())
    return outcome


class _Connection:
    """Kept open between calls, and opened again where the service has hung up meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def call(self, call: Call, outcome: Outcome) -> None:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(SLOW):
                status, headers, content = await self._exchange(call.raw)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            outcome.wrong.append(f"{call.path}: {type(error).__name__} {error}")
            return
        answer = json.loads(content)
        if status == 200 and answer == call.right:
            outcome.right[call.path] += 1
            outcome.times[call.path].append(1e3 * (time.perf_counter() - start))
        elif status == 503 and answer.get("code") == "overloaded" and int(headers.get("retry-after", 0)) >= 1:
            outcome.refused[call.path] += 1
        else:
            outcome.wrong.append(f"{call.path}: {status} {content[:200]!r}")

    async def _exchange(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams and time.perf_counter() - self._used > 3:  # uvicorn hangs up after 5
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers["content-length"]))
        self._used = time.perf_counter()
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers, content

    def close(self) -> None:
        if self._streams is not None:
            with suppress(OSError):
                self._streams[1].close()
            self._streams = None
