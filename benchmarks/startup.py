"""Time from the start of the process until face128 is ready, and until the naive service's first descriptor."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.harness import Figure, Report
from benchmarks.photos import portraits
from benchmarks.services import FACE128, NAIVE, NAIVE_FILE, NO_NAIVE, READY, Request, Service, upload

ROUNDS = 5
MIN_RATIO = 1 / 0.6


def measure() -> Report:
    report = Report()
    # The naive service loads its models with the first photo.
    contestants = {FACE128: READY, NAIVE: upload(portraits(1)[0])}
    if not NAIVE_FILE.exists():
        report.notes.append(NO_NAIVE)
        del contestants[NAIVE]
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, request in contestants.items():
            times[name].append(_seconds_until(name, request))
    naive = median(times[NAIVE]) if NAIVE in times else None
    report.figures.append(
        Figure(
            "start until ready, all threads warm",
            median(times[FACE128]),
            "s",
            f"{NAIVE}, first descriptor (1 megapixel)",
            naive,
            MIN_RATIO,
        )
    )
    return report


def _seconds_until(name: str, request: Request) -> float:
    start = time.perf_counter()
    service = Service(name)
    try:
        service.wait_for(request)
        return time.perf_counter() - start
    finally:
        service.stop()
