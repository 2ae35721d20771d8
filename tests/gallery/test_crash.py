"""kill -9 at random moments: acknowledged changes are kept, no change is partial, index and table are equal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
from fake_photos import fake_photo
from serving import environment, free_port

from face128.domain.probe import Probe
from face128.engines.fake import FAKE
from face128.gallery.gallery import Gallery

# Each starts a service: CRASH_ROUNDS=100 takes more than four minutes.
ROUNDS = int(os.environ.get("CRASH_ROUNDS", 10))


def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(5)
    ledger = Ledger()
    kills = 0
    for turn in range(ROUNDS):
        port = free_port()
        command = [sys.executable, "-m", "face128", "serve"]
        settings = {"FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path), "FACE128_LOG_LEVEL": "error"}
        process = subprocess.Popen(command, env=environment(PORT=str(port), **settings))
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_for(client)
                ledger.check(client)
                # From the first request on: an enrolment takes some 10 ms.
                killer = threading.Timer(chance.uniform(0.005, 0.3), lambda p=process: p.send_signal(signal.SIGKILL))
                killer.start()
                ledger.change_until_it_dies(client, turn, chance)
                kills += 1
        finally:
            process.kill()
            process.wait(30)
    assert kills == ROUNDS
    assert len(ledger.changes) > ROUNDS  # work was done
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    total, records = gallery.page(0, 10_000)
    assert gallery.rebuild() == total == len(records)
    for record in records:
        found = gallery.search(Probe.of(FAKE, record.descriptor), 1)[0]
        assert (found.record.id, found.distance) == (record.id, 0)
    gallery.close()


class Ledger:
    """What the service has acknowledged, and the person whose request was interrupted."""

    def __init__(self) -> None:
        self.face_counts: dict[str, int] = {}
        """By person."""
        self.unconfirmed: tuple[str, set[int]] | None = None
        """A person, and the possible numbers of their faces."""
        self.changes: list[str] = []

    def change_until_it_dies(self, client: httpx.Client, turn: int, chance: random.Random) -> None:
        for step in range(10_000):
            erase = bool(self.face_counts) and chance.random() < 0.4
            person = chance.choice(sorted(self.face_counts)) if erase else f"p{turn}-{step}"
            before = self.face_counts.get(person, 0)
            after = 0 if erase else 3
            self.unconfirmed = (person, {before, after})
            try:
                if erase:
                    answer = client.delete(f"/enroll_faces/{person}")
                else:
                    photos = [("files", fake_photo(turn * 10_000 + step, i)) for i in range(3)]
                    answer = client.post(f"/enroll_faces/{person}", files=photos, data={"name": person})
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            self.changes.append(person)
            self.confirm(person, after)
        raise AssertionError("the service was not killed")

    def check(self, client: httpx.Client) -> None:
        page = client.get("/records?limit=1000").json()
        records = page["records"]
        while len(records) < page["total_count"]:
            records += client.get(f"/records?limit=1000&skip={len(records)}").json()["records"]
        counts = Counter(record["name"] for record in records)
        if self.unconfirmed:
            person, allowed = self.unconfirmed
            assert counts[person] in allowed  # all three or none
            self.confirm(person, counts[person])
        assert counts == self.face_counts
        assert client.post("/maintenance/rebuild-index").json()["records"] == page["total_count"]

    def confirm(self, person: str, count: int) -> None:
        self.unconfirmed = None
        self.face_counts.pop(person, None)
        if count:
            self.face_counts[person] = count


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("The service did not answer.")
