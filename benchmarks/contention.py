"""Who waits for whom in a shared gallery: many that enrol, a lock that is held, and an erasure beside a reader.

    BENCH_FACES=100000 BENCH_PROCESSES="4 16 50" python -m benchmarks contention

On SQLite, and on MariaDB and PostgreSQL where they are installed, or those named in BENCH_DATABASES. The people are
synthetic (synthetic_people.py).
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import database_servers
import sqlalchemy as sa

from benchmarks.gallery import INSERT_BATCH_FACES, insert_faces
from benchmarks.harness import Figure, Report, percentile, time_ms
from benchmarks.synthetic_people import people
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.errors import GalleryBusy
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person

FACES = int(os.environ.get("BENCH_FACES", 10_000))
PROCESSES = [int(count) for count in os.environ.get("BENCH_PROCESSES", "16").split()]
SECONDS = 10.0
MAX_ENROLMENTS = 4_000  # of one process in that time; SQLite with a quick disk takes more than 1,000
READER_S = 5.0
ROUNDS = 200
NEW_SEED = 2**30
TIMEOUT_S = 600.0
MAX_BUSY_S, MAX_ERASURE_S, MAX_WIPED_S = 5.0, 0.5, 10.0


def measure() -> Report:
    report = Report(notes=["The people of the part contention are synthetic, mixed from real ones."])
    servers = {"mariadb": shutil.which("mariadbd"), "postgresql": database_servers.POSTGRES}
    for kind in os.environ.get("BENCH_DATABASES", " ".join(["sqlite", *servers])).split():
        if not servers.get(kind, True):
            report.notes.append(f"{kind} is not installed.")
            continue
        with database(kind) as url:
            with closing(Gallery(url)) as gallery:
                fill(gallery)
            report.figures += [*many_processes(kind, url), *held_lock(kind, url)]
            if kind == "sqlite":
                report.figures += erasure_beside_a_reader(url)
    return report


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty one."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/gallery.sqlite"
        return
    with getattr(database_servers, kind)() as server:
        yield server.new_database()


def fill(gallery: Gallery) -> None:
    for start in range(0, FACES, INSERT_BATCH_FACES):
        insert_faces(gallery, people(min(INSERT_BATCH_FACES, FACES - start), seed=start), start)


def many_processes(kind: str, url: str) -> Iterator[Figure]:
    """What a number of processes enrols together, each one after the other, against one process."""
    one = enrolling(url, 1)
    for count in PROCESSES:
        several = enrolling(url, count)
        what = f"{count} processes, {kind}"
        yield Figure(f"enrolments by {what}, {FACES:,} faces", several.rate, "/s", "one", one.rate)
        yield Figure(f"p99 of an enrolment, {what}", percentile(several.times_ms, 99), "ms", "one", one.p99_ms)
        yield Figure(f"a turn, on average, {what}", mean(several.turns_ms), "ms", "one", mean(one.turns_ms))
        yield Figure(f"of the time somebody has the turn, {what}", several.busy, "%", "one", one.busy)


@dataclass
class Enrolled:
    """What some processes did in SECONDS, in milliseconds."""

    times_ms: list[float] = field(default_factory=list)
    """Of each enrolment."""
    turns_ms: list[float] = field(default_factory=list)
    """Of each, how long it was the only writer, until its commit was answered."""

    @property
    def rate(self) -> float:
        return len(self.times_ms) / SECONDS

    @property
    def p99_ms(self) -> float:
        return percentile(self.times_ms, 99)

    @property
    def busy(self) -> float:
        return sum(self.turns_ms) / SECONDS / 10


def enrolling(url: str, processes: int) -> Enrolled:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # fifty processes share what they import
    times: Any = context.Queue()
    start = context.Barrier(processes)
    workers = [
        context.Process(target=_enrol, args=(url, NEW_SEED + 1000 * processes + number, start, times))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = Enrolled()
    for _ in workers:
        own = times.get(timeout=TIMEOUT_S)
        found.times_ms += own.times_ms
        found.turns_ms += own.turns_ms
    for worker in workers:
        worker.join(TIMEOUT_S)
    return found


def _enrol(url: str, seed: int, start: Any, times: Any) -> None:
    own = Enrolled()
    with closing(Gallery(url)) as gallery:
        gallery.load()
        database: Any = gallery.database
        writing = database.writing

        @contextmanager
        def timed() -> Iterator[Any]:
            with writing() as connection:
                began = time.monotonic()
                yield connection
            own.turns_ms.append(1e3 * (time.monotonic() - began))

        database.writing = timed
        new = iter(people(MAX_ENROLMENTS, seed))
        start.wait(TIMEOUT_S)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            own.times_ms.append(time_ms(enrolment(gallery, next(new), f"{seed} {len(own.times_ms)}")))
    times.put(own)


def enrolment(gallery: Gallery, vector: Any, name: str, *, force: bool = False) -> Callable[[], object]:
    face = NewFace(vector, vector.tobytes())
    return lambda: gallery.enrol(Person(name, name), [face], DLIB, force=force)


def held_lock(kind: str, url: str) -> Iterator[Figure]:
    """Searches, and an enrolment, while another program has changed the gallery and does not commit."""
    probes = people(ROUNDS, NEW_SEED)
    with closing(Gallery(url, hurried=True)) as gallery:
        times: dict[str, list[float]] = {"quiet": [], "held": []}
        gallery.load()
        refused_s = 0.0
        for turn in range(2):
            for name in times:
                with holding(url) if name == "held" else nullcontext():
                    for probe in probes[turn::2]:
                        times[name].append(time_ms(partial(gallery.match, Probe.of(DLIB, probe))))
                    if name == "held":
                        began = time.monotonic()
                        try:
                            enrolment(gallery, probes[0], f"refused {turn}")()
                        except GalleryBusy:
                            refused_s = max(refused_s, time.monotonic() - began)
            time.sleep(1.5)  # the pause after a wait in vain
    quiet, held = (percentile(times[name], 99) for name in ("quiet", "held"))
    yield Figure(f"a search while the lock is held, p99, {kind}", held, "ms", "quiet", quiet)
    yield Figure(f"an enrolment while the lock is held: refused after, {kind}", refused_s, "s", at_most=MAX_BUSY_S)


@contextmanager
def holding(url: str) -> Iterator[None]:
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(address.database or "", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    engine = sa.create_engine(address)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT version FROM state FOR UPDATE")
        yield
        connection.rollback()
    engine.dispose()


def erasure_beside_a_reader(url: str) -> Iterator[Figure]:
    """An erasure while another process reads the gallery as it was, and what another one enrols meanwhile."""
    path = Path(sa.make_url(url).database or "")
    erasing_ms, enrolling_ms, wiped_s = [], [], []
    with closing(Gallery(url)) as gallery, closing(Gallery(url)) as other:
        gallery.load()
        other.load()
        gallery.follow_erasures()
        for turn in range(3):
            gone = people(1, NEW_SEED + 7 + turn)[0]
            enrolment(gallery, gone, f"gone {turn}", force=True)()
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM faces").fetchall()
                erasing_ms.append(time_ms(partial(gallery.erase_user, f"gone {turn}")))
                end = time.monotonic() + READER_S
                for number, vector in enumerate(people(500, NEW_SEED + 100 + turn)):
                    enrolling_ms.append(time_ms(enrolment(other, vector, f"meanwhile {turn} {number}", force=True)))
                    if time.monotonic() > end:
                        break
            ended = time.monotonic()
            files = [path, path.with_name(path.name + "-wal")]
            while any(gone.tobytes() in file.read_bytes() for file in files) and time.monotonic() < ended + 60:
                time.sleep(0.1)
            wiped_s.append(time.monotonic() - ended)
    longest = max(erasing_ms) / 1e3
    yield Figure("an erasure beside a reader is acknowledged after, the longest", longest, "s", at_most=MAX_ERASURE_S)
    yield Figure("enrolments meanwhile, the longest", max(enrolling_ms), "ms")
    yield Figure("erased bytes are gone after the reader's end, the longest", max(wiped_s), "s", at_most=MAX_WIPED_S)
