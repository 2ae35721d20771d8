"""What the steps of benchmarks/size_steps.py share: a gallery of one size, services and searchers on it, new people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from statistics import median

import httpx
import psutil
from serving import environment, started

from benchmarks.processes import peak_memory_mb
from benchmarks.services import Request
from benchmarks.synthetic_people import people
from benchmarks.traffic import Call, closed_loop, raw
from face128.domain.descriptors import Descriptors
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person

PROBES_SEED = 2**31
PROBES = 200
ROUNDS = 15
WARM_UP_S = 1.0
WAIT_S = 900.0
POLL_S = 0.05
NO_MATCH = {"match": False}
SERVICE = {"FACE128_ENGINES": "fake", "FACE128_ISOLATION": "thread"}  # no photos, no processes for them


@dataclass(frozen=True)
class Measured:
    what: str
    value: float
    unit: str
    at_most: float | None = None


class Place:
    """A folder with the members' file, and the gallery that is imported from it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.members, self.data = folder / "members.json", folder / "data"

    @property
    def settings(self) -> dict[str, str]:
        return SERVICE | {"FACE128_DATA": str(self.data)}

    def gallery(self, milvus_uri: str | None = None) -> Gallery:
        return Gallery(f"sqlite:///{self.data}/gallery.sqlite", milvus_uri, "mean")


def run(*words: str | Path, **settings: str) -> tuple[float, float]:
    """Run a command of face128; return its CPU seconds, and its greatest memory in MB."""
    command = [sys.executable, "-m", "face128", *map(str, words)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment(**settings), stdout=log, stderr=log)
        peak_mb, ended = 0.0, 0
        while not ended:  # the greatest memory that wait4 tells includes this process's own at the fork
            peak_mb = max(peak_mb, peak_memory_mb(process.pid))
            time.sleep(POLL_S)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(log.read().decode(errors="replace"))
    return usage.ru_utime + usage.ru_stime, peak_mb


@contextmanager
def serving(
    place: Place, *, workers: int = 1, wait: str = "/ready", **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    with started(workers=workers, wait=wait, **(place.settings | settings)) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as client:
            yield process, client
        process.terminate()
        process.wait(WAIT_S)


def search(port: int, clients: int, seconds: float) -> list[float]:
    """The times in ms of searches for strangers, one after the other by each client."""
    requests = [Request("/match", json.dumps(body(number)).encode()) for number in range(PROBES)]
    calls = cycle(Call(request.path, raw(request), NO_MATCH) for request in requests)
    closed_loop(port, calls.__next__, clients, WARM_UP_S)
    outcome = closed_loop(port, calls.__next__, clients, seconds)
    if outcome.wrong:
        raise RuntimeError(outcome.wrong[0])
    return outcome.times_ms[requests[0].path]


@cache
def _probes() -> Descriptors:
    return people(PROBES, PROBES_SEED)


def probe(number: int) -> Probe:
    return Probe.of(DLIB, _probes()[number % PROBES])


def body(number: int) -> dict[str, object]:
    return {"descriptor": _probes()[number % PROBES].tolist(), "model": DLIB.name}


def new_people(gallery: Gallery, seed: int, count: int = ROUNDS) -> Iterator[Callable[[], object]]:
    """Each enrols another person, who is compared with all."""
    for number, vector in enumerate(people(count, PROBES_SEED + seed)):
        person = Person(f"Newcomer {seed} {number}", f"newcomer {seed} {number}")
        yield partial(gallery.enrol, person, [NewFace(vector, vector.tobytes())], DLIB)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Of the service and its workers so far."""
    own = psutil.Process(process.pid)
    times = [each.cpu_times() for each in (own, *own.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def cpu_time_ms(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return 1e3 * (time.process_time() - start)


def median_cpu_ms(jobs: Iterable[Callable[[], object]]) -> float:
    """The first is left out: it reads what the others find in memory."""
    return median([cpu_time_ms(job) for job in jobs][1:])


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(POLL_S)
