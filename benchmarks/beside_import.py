"""Searches and enrolments while another process imports, against the same searches while that import is stopped.

    BENCH_FACES=100000 python -m benchmarks beside_import

Both take turns of a second, so that other load on the machine affects both. On SQLite, and on MariaDB and PostgreSQL
where they are installed. The people are synthetic (synthetic_people.py). Half of the probes are members, and every
answer is checked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

import database_servers
from serving import environment

from benchmarks.contention import database, enrolment
from benchmarks.gallery import insert_faces
from benchmarks.harness import Figure, Report, percentile, time_ms
from benchmarks.services import Request
from benchmarks.size_place import NO_MATCH, PROBES, Place, body, probe, run, serving, wait_until
from benchmarks.sizes import BLOCK_PEOPLE, write_members
from benchmarks.synthetic_people import people
from benchmarks.traffic import Call, closed_loop, raw
from face128.domain.model_card import DLIB
from face128.gallery.gallery import Gallery

FACES = int(os.environ.get("BENCH_FACES", 100_000))
"""That are imported, into a gallery of MEMBERS; a multiple of BLOCK_PEOPLE. Of fewer than 50,000 the command may not
tell its step: all is then "checking"."""
MEMBERS = 10_000
TURN_S = 1.0
SETTLE_S = 0.1  # searches that are not counted, after the import was stopped
ENROLMENT_PAUSE_S = 0.05
NEW_SEED = 2**30
NEW_ROWS = (0, 1, 100, 250)
ROUNDS = 7
MAX_P99_RATIO = 3.0
MAX_ENROLMENT_MS = 1000.0
KINDS = ("sqlite", "mariadb", "postgresql")

Times = dict[str, list[float]]
"""Milliseconds, by what was going on: quiet, the import's step, or enrolling."""


def measure() -> Report:
    report = Report(notes=["The people of the part beside_import are synthetic, mixed from real ones."])
    servers = {"mariadb": shutil.which("mariadbd"), "postgresql": database_servers.POSTGRES}
    for kind in os.environ.get("BENCH_DATABASES", " ".join(KINDS)).split():
        if not servers.get(kind, True):
            report.notes.append(f"{kind} is not installed.")
            continue
        with tempfile.TemporaryDirectory() as folder, database(kind) as url:
            times = beside(Place(Path(folder), MEMBERS), url)
        report.figures += figures(kind, times)
    return report


def figures(kind: str, times: Times) -> Iterator[Figure]:
    after = [median(times.pop(f"{rows} new")) for rows in NEW_ROWS]
    for rows, cpu_ms in zip(NEW_ROWS, after, strict=True):
        yield Figure(f"a search after {rows} new faces, CPU, {kind}", cpu_ms, "ms", "none", after[0])
    steps = [step for step in times if step not in ("quiet", "enrolling")]
    beside_all = [each for step in steps for each in times[step]]
    for percent in (50, 99):
        quiet = percentile(times["quiet"], percent)
        value = percentile(beside_all, percent)
        goal = MAX_P99_RATIO * quiet if percent == 99 else None
        yield Figure(f"/match beside an import, p{percent}, {kind}", value, "ms", "quiet", quiet, at_most=goal)
        for step in steps:
            value = percentile(times[step], percent)
            yield Figure(f"/match beside an import, {step}, p{percent}, {kind}", value, "ms", "quiet", quiet)
    yield Figure(f"/match beside an import, the longest, {kind}", max(beside_all), "ms", "quiet", max(times["quiet"]))
    if enrolling := times["enrolling"]:
        yield Figure(f"an enrolment beside an import, median, {kind}", median(enrolling), "ms")
        yield Figure(
            f"an enrolment beside an import, the longest, {kind}", max(enrolling), "ms", at_most=MAX_ENROLMENT_MS
        )


def beside(place: Place, url: str) -> Times:
    """The times of searches and enrolments, in turns, until an import has ended."""
    write_members(place.members, MEMBERS)
    more = place.folder / "more.json"
    write_members(more, FACES, first=MEMBERS)
    named = {"FACE128_DATA": str(place.data), "FACE128_DATABASE_URL": url}
    run("gallery", "import", place.members, "--force", **named)
    times: Times = {"quiet": [], "enrolling": []}
    calls = probes()
    with ExitStack() as stack:
        _, client = stack.enter_context(serving(place, **named))
        port = int(client.base_url.port or 0)
        wait_until(lambda: "expected_fpir{" in client.get("/metrics").text)  # else that is measured meanwhile
        gallery = stack.enter_context(closing(Gallery(url, None, "mean")))
        gallery.load()
        new = enumerate(people(5_000, NEW_SEED))
        process, step = stack.enter_context(importing(place, more, named))
        while process.poll() is None:
            times.setdefault(step(), []).extend(searches(port, calls, TURN_S))
            if process.poll() is None:
                times["enrolling"] += enrolments(gallery, new, TURN_S)
            process.send_signal(signal.SIGSTOP)
            try:
                searches(port, calls, SETTLE_S)
                times["quiet"] += searches(port, calls, TURN_S)
            finally:
                process.send_signal(signal.SIGCONT)
        if process.returncode:
            raise RuntimeError("the import has failed")
        last = people(BLOCK_PEOPLE, FACES + MEMBERS - BLOCK_PEOPLE)[-1]
        answer = client.post("/match", json={"descriptor": last.tolist(), "model": DLIB.name}).json()
        if answer["regNo"] != FACES + MEMBERS - 1:
            raise RuntimeError(f"The last one of the file is not found: {answer}")
        times |= {f"{rows} new": cpu_after(gallery, url, rows) for rows in NEW_ROWS}
    return times


def cpu_after(gallery: Gallery, url: str, rows: int) -> list[float]:
    """The CPU in ms of this thread for the next search after another process has stored so many faces at once."""
    times = []
    with closing(Gallery(url, None, "mean")) as other:
        for turn in range(ROUNDS):
            if rows:
                first = NEW_SEED + (rows * ROUNDS + turn) * BLOCK_PEOPLE
                insert_faces(other, people(rows, first), first)
            start = time.thread_time()
            gallery.match(probe(turn))
            times.append(1e3 * (time.thread_time() - start))
    return times


@contextmanager
def importing(
    place: Place, file: Path, settings: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """The process, and what tells its step. It compares all faces, and stores also who is alike."""
    words = ["gallery", "import", str(file), "--force", "--report", str(place.folder / "pairs.csv")]
    with (place.folder / "log").open("w+b") as log:
        command = [sys.executable, "-m", "face128", *words]
        process = subprocess.Popen(command, env=environment(**settings), stdout=log, stderr=log)

        def step() -> str:
            text = Path(log.name).read_text()
            return next((each for each in ("storing", "comparing") if each.title() in text), "checking")

        try:
            yield process, step
        finally:
            process.kill()
            process.wait()


def probes() -> Iterator[Call]:
    """Strangers and members in turn, with the right answers."""
    calls = []
    for number, vector in enumerate(people(BLOCK_PEOPLE, 0)[:PROBES]):  # the first of write_members
        member = {"descriptor": vector.tolist(), "model": DLIB.name}
        for document, expected in (
            (body(number), NO_MATCH),
            (member, {"regNo": number, "name": f"Person {number}"}),
        ):
            calls.append(Call("/match", raw(Request("/match", json.dumps(document).encode())), expected))
    return cycle(calls)


def searches(port: int, calls: Iterator[Call], seconds: float) -> list[float]:
    """One client, one search after the other."""
    outcome = closed_loop(port, calls.__next__, 1, seconds)
    if outcome.wrong:
        raise RuntimeError(outcome.wrong[0])
    return outcome.times_ms["/match"]


def enrolments(gallery: Gallery, new: Iterator[tuple[int, object]], seconds: float) -> list[float]:
    """By another service of the gallery: each person is compared with all."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number, vector = next(new)
        times.append(time_ms(enrolment(gallery, vector, f"newcomer {number}", force=True)))
        time.sleep(ENROLMENT_PAUSE_S)
    return times
