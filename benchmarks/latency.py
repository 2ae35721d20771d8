"""How long a small /match takes while four clients encode photos on the same service."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from itertools import cycle

from benchmarks.harness import Figure, Report, milliseconds, percentile
from benchmarks.match import NUMBERS, body
from benchmarks.photos import portraits
from benchmarks.services import FACE128, NAIVE, NO_NAIVE, Crashed, Service, started, upload

CLIENTS = 4
TURNS = 4
SECONDS = 6  # of each service's turn
PAUSE = 0.01  # seconds between two matches
GOAL = 10.0


def measure() -> Report:
    report = Report()
    times: dict[str, list[float]] = defaultdict(list)
    with started(FACE128, NAIVE) as services:
        if NAIVE not in services:
            report.notes.append(NO_NAIVE)
        for _ in range(TURNS):
            for name, service in services.items():
                try:
                    match_while_encoding(service, times[name])
                except Crashed as crash:
                    report.notes.append(f"{crash} while {CLIENTS} clients encoded; what it had answered counts.")
                    service.restart()
    what = f"/match, 1 member, while {CLIENTS} clients encode"
    for label, percent, goal in (("p50", 50, None), ("p99", 99, GOAL)):
        values = {name: percentile(runs, percent) for name, runs in times.items()}
        report.figures.append(Figure(f"{what}: {label}", values[FACE128], "ms", NAIVE, values.get(NAIVE), goal))
    counts = ", ".join(f"{len(runs)} ({name})" for name, runs in times.items())
    report.notes.append(f"Matches measured during encodes: {counts}.")
    return report


def match_while_encoding(service: Service, times: list[float]) -> None:
    """Add the milliseconds of one match after the other, with a pause between them. Raises Crashed."""
    over = threading.Event()

    def encode() -> None:
        for photo in cycle(portraits(1)):
            if over.is_set():
                return
            try:
                service.send(upload(photo))
            except Crashed:
                return

    clients = [threading.Thread(target=encode) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        time.sleep(0.5)  # until all four are waiting for an answer
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            times.append(milliseconds(lambda: service.send(body(1, NUMBERS))))
            time.sleep(PAUSE)
    finally:
        over.set()
        for client in clients:
            client.join()
