"""Two services on one SQLite file, on a disk with faults: what was acknowledged stays, and what was erased stays away.

Hypothesis chooses the order. A request that was interrupted or refused may have been done or not: that person is looked
up, and counts from then on as they were found.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest
from disks import fill, immutable, small_disk
from fake_photos import fake_photo
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from serving import environment, free_port

from face128.engines.fake import FakeEngine
from face128.photos.photo import Limits, open_photo

MIN_ACKNOWLEDGED = 200
STEPS = (
    *("enrol", "erase", "kill_while_it_works", "stop_while_it_works", "fill_the_disk", "make_it_read_only"),
    *("enrol", "replace_the_file", "erase", "kill_while_it_works", "enrol", "stop_while_it_works", "erase"),
)
BATCH = 12
WAIT_S = 60.0
DISK_MIB = 24
REFUSALS = {"gallery_busy", "gallery_full", "gallery_read_only", "gallery_replaced", "gallery_deleted", "not_ready"}
WORKERS = (1, 2)  # of the two services


def descriptor_bytes(seed: int) -> bytes:
    photo, engine = open_photo(fake_photo(seed), Limits()), FakeEngine()
    return engine.describe(engine.crop(photo, engine.detect(photo)))[0].astype("<f4").tobytes()


def until_served(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer other than 503."""
    deadline = time.monotonic() + WAIT_S
    while (answer := ask()).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert answer.status_code == 200, answer.text
    return answer


class Service:
    """``face128 serve``, which may be killed, stopped and started again."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers, self.port = folder, workers, free_port()
        self.log = (folder.parent / f"log-{self.port}").open("ab")
        self.start()

    def start(self) -> None:
        variables = {"FACE128_ENGINES": "fake", "FACE128_DATA": str(self.folder), "PORT": str(self.port)}
        command = [sys.executable, "-m", "face128", "serve", "--workers", str(self.workers)]
        self.process = subprocess.Popen(command, env=environment(**variables), stderr=self.log)
        # A new connection for each request: it may reach another worker.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT_S, limits=fresh)

    def processes(self) -> list[psutil.Process]:
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    def kill(self) -> None:
        for process in self.processes():
            process.kill()
        self.process.wait(WAIT_S)

    def people(self) -> set[str]:
        """Those that one of the workers has; it may have to open a new file first."""
        page = until_served(lambda: self.client.get("/records?limit=1000"))
        people = {record["name"] for record in page.json()["records"]}
        assert page.json()["total_count"] == len(people) < 1000
        return people

    def until_ready(self) -> None:
        deadline = time.monotonic() + WAIT_S
        answer = "nothing"
        while time.monotonic() < deadline:
            try:
                ready = self.client.get("/ready")
                if ready.status_code == 200:
                    return
                answer = ready.text
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"The service did not become ready: {answer}")


class FaultyGallery:
    """The services, their disk, and what they have acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.enrolled: dict[str, int] = {}  # by user_id: the seed of the photo
        self.erased: dict[str, int] = {}
        self.unknown: dict[str, tuple[int, bool]] = {}  # and whether they were enrolled before
        self.never: set[str] = set()
        self.acknowledged = 0
        self.seed = 0
        self.folder = folder
        self.file = self.folder / "gallery.sqlite"
        self.services = [Service(self.folder, workers) for workers in WORKERS]
        for service in self.services:
            service.until_ready()

    def enrol(self, number: int) -> None:
        seeds = range(self.seed, self.seed + BATCH)
        self.seed += BATCH
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda seed: self.change(number, f"person{seed}", seed, "POST"), seeds))

    def erase(self, number: int) -> None:
        people = sorted(self.enrolled)[:: max(1, len(self.enrolled) // BATCH)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda user: self.change(number, user, self.enrolled[user], "DELETE"), people))

    def kill_while_it_works(self, number: int) -> None:
        service = self.services[number]
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self.enrol, number)
            time.sleep(0.1)
            service.kill()
            work.result(WAIT_S)
        service.start()
        service.until_ready()
        self.look()

    def stop_while_it_works(self, number: int) -> None:
        other = 1 - number
        stopped = self.services[number].processes()
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self.enrol, number)
            time.sleep(0.05)
            for process in stopped:
                process.suspend()
            try:
                self.change(other, f"person{self.seed + 10**6}", self.seed + 10**6, "POST")
            finally:
                for process in stopped:
                    process.resume()
            work.result(WAIT_S)
        self.look()

    def fill_the_disk(self, number: int) -> None:
        ballast = self.folder / "ballast"
        fill(ballast)
        try:
            self.enrol(number)
            for user in sorted(self.enrolled)[:2]:
                self.change(1 - number, user, self.enrolled[user], "DELETE")
        finally:
            ballast.unlink()
        self.look()

    def make_it_read_only(self, number: int) -> None:
        with immutable(self.file):
            before = self.acknowledged
            self.enrol(number)
            assert self.acknowledged == before
        self.look()

    def replace_the_file(self, number: int) -> None:
        """By a copy of now: what is in it has been acknowledged before, and what comes is not put into the old one."""
        self.replaced = True
        self.look()
        copy = self.folder / "copy.sqlite"
        with closing(sqlite3.connect(self.file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        os.replace(copy, self.file)
        self.enrol(number)
        self.look()

    def change(self, number: int, user: str, seed: int, method: str) -> None:
        """Enrol or erase one person. Only an answer of 200 says that it was done."""
        self.unknown[user] = (seed, self.enrolled.pop(user, None) is not None)
        client = self.services[number].client
        try:
            if method == "POST":
                files = {"image": ("photo.png", fake_photo(seed))}
                answer = client.post(f"/enroll_faces/{user}", files=files, data={"name": user})
            else:
                answer = client.delete(f"/enroll_faces/{user}")
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            del self.unknown[user]
            (self.enrolled if method == "POST" else self.erased)[user] = seed
            self.acknowledged += 1
        else:
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] in REFUSALS, answer.text

    def look(self) -> None:
        """Every service has those who were enrolled, and none who was erased."""
        for service in self.services:
            service.until_ready()
            for _ in range(2 * service.workers):
                present = service.people()
                assert not self.enrolled.keys() - present, "an acknowledged enrolment is lost"
                assert not present & self.erased.keys(), "an erased person is back"
            for user in sorted(self.unknown):
                seed, was_enrolled = self.unknown.pop(user)
                if user in present:
                    self.enrolled[user] = seed
                elif was_enrolled:
                    self.erased[user] = seed
                else:
                    self.never.add(user)
            assert present == self.enrolled.keys()
            assert not present & self.never

    def finish(self) -> None:
        self.look()
        while self.acknowledged < MIN_ACKNOWLEDGED:
            self.enrol(0)
            self.erase(1)
        self.look()
        for user in sorted(self.enrolled)[:5]:
            for service in self.services:
                photo = {"image": fake_photo(self.enrolled[user])}
                answer = until_served(lambda: service.client.post("/match_face", files=photo))  # noqa: B023
                assert answer.json().get("user_id") == user, answer.text
        self.until_wiped()
        for service in self.services:
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(WAIT_S) == 0
        self.until_wiped()
        with closing(sqlite3.connect(self.file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def close(self) -> None:
        for service in self.services:
            if service.process.poll() is None:
                service.kill()
            service.log.close()

    def until_wiped(self) -> None:
        """No erased descriptor is left in any file. Those that could not be wiped at once are within seconds."""
        erased = {user: descriptor_bytes(seed) for user, seed in self.erased.items()}
        deadline = time.monotonic() + WAIT_S
        while True:
            data = b"".join(path.read_bytes() for path in self.folder.iterdir())
            left = [user for user, descriptor in erased.items() if descriptor in data]
            if not left:
                assert all(descriptor_bytes(seed) in data for seed in list(self.enrolled.values())[:3])
                return
            assert time.monotonic() < deadline, f"descriptors of {left} are left"
            time.sleep(0.2)


@settings(
    max_examples=int(os.environ.get("STATEFUL_EXAMPLES", 1)),  # each takes half a minute; the first is in this order
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.permutations(STEPS), sides=st.lists(st.integers(0, 1), min_size=len(STEPS), max_size=len(STEPS)))
def test_nothing_acknowledged_is_lost_and_nobody_erased_comes_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], sides: list[int]
) -> None:
    disk = tmp_path_factory.mktemp("faults") / "disk"
    disk.mkdir()
    with small_disk(disk, DISK_MIB):
        gallery = FaultyGallery(disk)
        try:
            gallery.enrol(0)
            for index, (step, side) in enumerate(zip(steps, sides, strict=True)):
                getattr(gallery, step)((index + side) % 2)
            gallery.finish()
        finally:
            gallery.close()
