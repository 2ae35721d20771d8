"""The latency of a small /match while four clients encode photos on the same service."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from itertools import cycle

from benchmarks.harness import Figure, Report, percentile, time_ms
from benchmarks.match import NUMBERS, match_request
from benchmarks.photos import portraits
from benchmarks.services import FACE128, NAIVE, NO_NAIVE, Crashed, Service, started, upload

CLIENTS = 4
TURNS = 4
TURN_S = 6
MATCH_PAUSE_S = 0.01
MIN_P99_RATIO = 10.0


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
                    report.notes.append(f"{crash} while {CLIENTS} clients encoded; its answers before that count.")
                    service.restart()
    what = f"/match, 1 member, while {CLIENTS} clients encode"
    for label, percent, goal in (("p50", 50, None), ("p99", 99, MIN_P99_RATIO)):
        values = {name: percentile(runs, percent) for name, runs in times.items()}
        report.figures.append(Figure(f"{what}: {label}", values[FACE128], "ms", NAIVE, values.get(NAIVE), goal))
    counts = ", ".join(f"{len(runs)} ({name})" for name, runs in times.items())
    report.notes.append(f"Matches measured during encodes: {counts}.")
    return report


def match_while_encoding(service: Service, times: list[float]) -> None:
    """Add the milliseconds of successive matches to ``times``. Raises Crashed."""
    stop = threading.Event()

    def encode() -> None:
        for photo in cycle(portraits(1)):
            if stop.is_set():
                return
            try:
                service.send(upload(photo))
            except Crashed:
                return

    clients = [threading.Thread(target=encode) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        time.sleep(0.5)  # all clients are now waiting for an answer
        end = time.monotonic() + TURN_S
        while time.monotonic() < end:
            times.append(time_ms(lambda: service.send(match_request(1, NUMBERS))))
            time.sleep(MATCH_PAUSE_S)
    finally:
        stop.set()
        for client in clients:
            client.join()
