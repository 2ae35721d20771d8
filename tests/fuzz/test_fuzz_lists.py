"""Random walks of several owners over /lists, compared with a plain model of what each of them must and may see.

FUZZ_FULL=1 takes twenty times as many steps.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from match_bodies import GOOD, PROBE, as_base64, as_object
from serving import started
from sockets import connect

STEPS = 4000 if os.environ.get("FUZZ_FULL") else 150
OWNERS = ("one", "two", "three", "four")
LIST_MEMORY = 2**20
LIST_SECONDS = 1.0
MAX_GROWTH_BYTES = 24 * 2**20  # of the service, beyond what the first 20 lists took; the other 100 take 60 MB


ZERO = as_base64([0.0] * 128)


class Sample:
    """A list of the walks: its first member is at distance 0 from the probe, and is named after the list."""

    def __init__(self, name: str, size: int, *bad: Any) -> None:
        others = [{"regNo": i, "name": f"Member {i}", "descriptor": ZERO} for i in range(size - 1)]
        members = [*bad, {"regNo": name, "name": None, "descriptor": as_base64(GOOD)}, *others]
        self.name, self.skipped = name, len(bad)
        self.body = json.dumps(members).encode()
        self.digest = digest(self.body)
        self.is_small = len(self.body) < 16_384


def digest(body: bytes) -> str:
    return "sha256-" + hashlib.sha256(body).hexdigest()


BAD_ROWS = ({"regNo": 1, "descriptor": GOOD[1:]}, {"name": "no id", "descriptor": as_object(PROBE)}, None)
# Every owner uses the same lists, so the same digests.
SAMPLES = [
    *(Sample(f"small {i}", 1 + i) for i in range(4)),
    *(Sample(f"medium {i}", 100) for i in range(3)),
    *(Sample(f"large {i}", 450) for i in range(2)),
    Sample("with bad rows", 2, *BAD_ROWS),
]
NEVER = "sha256-" + 64 * "0"


class Owner:
    """One key's walk, and when this key used each list: (sent, answered), on this machine's clock."""

    def __init__(self, name: str, port: int) -> None:
        self.random = random.Random(name)
        self.port, self.key = port, f"the-key-of-owner-{name}-0123456789abcdef"
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": self.key}, timeout=60, trust_env=False
        )
        self.used: dict[str, tuple[float, float]] = {}
        self.latest: str | None = None
        """The list that this key used last, also if it has gone since: one that was used before may have gone first."""

    def must_have(self, sample: Sample, now: float) -> bool:
        """The list that a key used last makes no room for others if it is small: the key's other lists go first."""
        is_kept = sample.digest == self.latest and sample.digest in self.used
        return sample.is_small and is_kept and now - self.used[sample.digest][0] < LIST_SECONDS

    def may_have(self, sample: Sample, sent: float) -> bool:
        return sample.digest in self.used and sent - self.used[sample.digest][1] <= LIST_SECONDS

    def ask(self, method: str, path: str, **more: Any) -> tuple[httpx.Response, float, float]:
        """The answer, and when the request was sent and answered."""
        sent = time.monotonic()
        answer = self.client.request(method, path, **more)
        assert answer.status_code < 500, (method, path, answer.text)
        return answer, sent, time.monotonic()

    def saw(self, sample: Sample, has: bool, sent: float, answered: float, *, uses: bool = False) -> None:
        """Compare what an answer says with the model."""
        assert has or not self.must_have(sample, answered), sample.name
        assert not has or self.may_have(sample, sent), sample.name
        if not has:
            self.used.pop(sample.digest, None)
        elif uses:
            self.use(sample, sent, answered)

    def use(self, sample: Sample, sent: float, answered: float) -> None:
        self.used[sample.digest] = (sent, answered)
        self.latest = sample.digest

    def put(self, sample: Sample) -> None:
        path, query = f"/lists/{sample.digest}", {"skip_invalid": self.random.random() < 0.7}
        answer, sent, answered = self.ask("PUT", path, content=sample.body, params=query)
        if sample.skipped and not query["skip_invalid"]:
            assert answer.json()["code"] == "invalid_descriptor"
            return
        assert answer.status_code in (200, 201)
        # 200 would say that this list is kept.
        self.saw(sample, answer.status_code == 200, sent, answered)
        self.use(sample, sent, answered)
        assert (answer.json()["digest"], answer.json()["skipped_count"]) == (sample.digest, sample.skipped)

    def look(self, sample: Sample) -> None:
        answer, sent, answered = self.ask("HEAD", f"/lists/{sample.digest}")
        self.saw(sample, answer.status_code == 200, sent, answered)
        if answer.status_code == 404:
            assert answer.headers.keys() == self.ask("HEAD", f"/lists/{NEVER}")[0].headers.keys()

    def drop(self, sample: Sample) -> None:
        answer, sent, answered = self.ask("DELETE", f"/lists/{sample.digest}")
        self.saw(sample, answer.status_code == 204, sent, answered)
        self.used.pop(sample.digest, None)

    def match(self, sample: Sample) -> None:
        body = {"descriptor": GOOD, "model": self.random.choice(["dlib-resnet-v1", "faceapi-resnet-v1"])}
        answer, sent, answered = self.ask("POST", "/match", json={**body, "enrolled_ref": sample.digest})
        self.saw(sample, answer.status_code == 200, sent, answered, uses=True)
        if answer.status_code == 200:
            assert answer.json() == {"regNo": sample.name, "name": None}
        else:
            assert answer.json() == self.ask("POST", "/match", json={**body, "enrolled_ref": NEVER})[0].json()

    def put_under_a_wrong_digest(self, sample: Sample) -> None:
        """It is not kept, and does not take the place of the list that has this digest."""
        other = self.random.choice([each for each in SAMPLES if each is not sample])
        answer, _, _ = self.ask("PUT", f"/lists/{other.digest}", content=sample.body, params={"skip_invalid": True})
        assert answer.json()["code"] == "digest_mismatch"

    def put_in_gzip(self, sample: Sample) -> None:
        packed = gzip.compress(sample.body)
        coded = self.ask("PUT", f"/lists/{sample.digest}", content=packed, headers={"Content-Encoding": "gzip"})[0]
        assert coded.status_code == 415
        assert self.ask("PUT", f"/lists/{sample.digest}", content=packed)[0].json()["code"] == "digest_mismatch"
        assert self.ask("PUT", f"/lists/{digest(packed)}", content=packed)[0].json()["code"] == "bad_request"

    def hang_up(self, sample: Sample) -> None:
        """The body ends early: a list of which half has arrived is none."""
        announced = self.random.choice([f"Content-Length: {len(sample.body)}", "Transfer-Encoding: chunked"])
        head = f"PUT /lists/{sample.digest} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {self.key}\r\n{announced}\r\n\r\n"
        half = sample.body[: len(sample.body) // 2]
        if announced.endswith("chunked"):
            half = b"%x\r\n%s\r\n" % (len(half), half)
        with connect(self.port) as connection:
            connection.sendall(head.encode() + half)

    def put_at_once(self, sample: Sample) -> None:
        """Several of this key's clients put one list at the same time."""
        sent = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            path, query = f"/lists/{sample.digest}", {"skip_invalid": True}
            answers = list(
                pool.map(lambda _: self.ask("PUT", path, content=sample.body, params=query)[0].status_code, range(3))
            )
        assert set(answers) <= {200, 201}
        self.use(sample, sent, time.monotonic())

    def rest(self, _: Sample) -> None:
        time.sleep(1.2 * LIST_SECONDS)

    def walk(self, steps: int) -> None:
        actions: list[tuple[Callable[[Sample], None], float]] = [
            *((self.put, 20), (self.look, 15), (self.match, 25), (self.drop, 6), (self.put_under_a_wrong_digest, 6)),
            *((self.put_in_gzip, 3), (self.hang_up, 4), (self.put_at_once, 3), (self.rest, 0.7)),
        ]
        chosen = self.random.choices([each for each, _ in actions], [weight for _, weight in actions], k=steps)
        for action in chosen:
            action(self.random.choice(SAMPLES))


@contextmanager
def owners() -> Iterator[tuple[list[Owner], int]]:
    """Owners of a real service, and its process id."""
    keys = ",".join(f"the-key-of-owner-{name}-0123456789abcdef" for name in OWNERS)
    settings = {"FACE128_ENGINES": "fake", "FACE128_LIST_MEMORY": str(LIST_MEMORY), "FACE128_API_KEYS": keys}
    with started(**settings, FACE128_LIST_SECONDS=str(LIST_SECONDS)) as (process, port):
        everybody = [Owner(name, port) for name in OWNERS]
        yield everybody, process.pid
        for owner in everybody:
            owner.client.close()


def cached_bytes(owner: Owner) -> float:
    lines = owner.client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("face128_cached_list_bytes "))


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def test_nobody_sees_the_list_of_another_whatever_they_do() -> None:
    with owners() as (everybody, _), ThreadPoolExecutor(len(everybody) + 1) as pool:
        over = Event()

        def watch() -> None:
            watcher = Owner("one", everybody[0].port)
            while not over.wait(0.02):
                assert cached_bytes(watcher) <= LIST_MEMORY

        watching = pool.submit(watch)
        walks = [pool.submit(owner.walk, STEPS) for owner in everybody]
        try:
            for walk in walks:
                walk.result()
        finally:
            over.set()
        watching.result()


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux's /proc")
def test_lists_that_made_room_for_others_take_no_memory() -> None:
    with owners() as (everybody, pid):
        before = 0
        for i in range(120):
            if i == 20:
                before = resident_bytes(pid)
            everybody[i % len(OWNERS)].put(Sample(f"list {i}", 450))
        assert 0 < cached_bytes(everybody[0]) <= LIST_MEMORY
        assert resident_bytes(pid) - before < MAX_GROWTH_BYTES
