"""What it costs to work on photos in processes of their own, beside threads in the service."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from statistics import median

from benchmarks.harness import Figure, Report, interleave, milliseconds, percentile
from benchmarks.latency import match_while_encoding
from benchmarks.photos import portraits
from benchmarks.processes import taken, tree
from benchmarks.services import FACE128, READY, Request, Service, upload

PROCESS, THREAD = "process", "thread"
STARTS = 5
ROUNDS = 40
PHOTOS = 100  # of a turn of throughput
CLIENTS = 4
TURNS = 3


def measure() -> Report:
    report = Report()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        both = (PROCESS, THREAD)
        start = {name: partial(Service, FACE128, FACE128_DATA=folder, FACE128_ISOLATION=name) for name in both}
        starts: dict[str, list[float]] = defaultdict(list)
        for _ in range(STARTS):
            for name, begin in start.items():
                starts[name].append(_until_ready(begin))
        services = {name: begin() for name, begin in start.items()}
        for service in services.values():
            stack.callback(service.stop)
            service.wait_for(READY)
        for megapixels in (0.25, 1, 12):
            request = upload(portraits(megapixels)[0])
            turns: dict[str, Callable[[], object]] = {n: partial(s.send, request) for n, s in services.items()}
            interleave(turns, 3)
            times = interleave(turns, ROUNDS)
            _tell(report, f"/encode-image, {megapixels} megapixels, one after the other", times, "ms")
        rates: dict[str, list[float]] = defaultdict(list)
        waits: dict[str, list[float]] = defaultdict(list)
        for _ in range(TURNS):
            for name, service in services.items():
                rates[name].append(service.throughput(_photos(PHOTOS), CLIENTS))
                match_while_encoding(service, waits[name])
        _tell(report, f"/encode-image, 1 megapixel, {CLIENTS} clients", rates, "photos/s")
        _tell(report, f"/match, 1 member, while {CLIENTS} clients encode: p50", waits, "ms")
        p99 = {name: percentile(times, 99) for name, times in waits.items()}
        report.figures.append(
            Figure(f"/match, 1 member, while {CLIENTS} clients encode: p99", p99[PROCESS], "ms", THREAD, p99[THREAD])
        )
        _tell(report, "start until ready", starts, "s")
        memory = {name: [taken(service.process_id).memory] for name, service in services.items()}
        _tell(report, "memory of all processes at the end of this", memory, "MB")
        beyond = _killed(services[PROCESS])
        report.figures.append(Figure("the first photo after a worker was killed, beyond the usual time", beyond, "ms"))
    return report


def _until_ready(begin: Callable[[], Service]) -> float:
    start = time.perf_counter()
    service = begin()
    try:
        service.wait_for(READY)
        return time.perf_counter() - start
    finally:
        service.stop()


def _photos(count: int) -> list[Request]:
    return list(islice(cycle([upload(photo) for photo in portraits(1)]), count))


def _killed(service: Service) -> float:
    """The median, over ten times that every worker is killed, of what the next photo takes beyond its usual time."""
    request = upload(portraits(0.25)[0])
    usual = median(milliseconds(lambda: service.send(request)) for _ in range(10))
    after = []
    for _ in range(10):
        for worker in tree(service.process_id)[2:]:
            os.kill(worker, signal.SIGKILL)
        after.append(milliseconds(lambda: service.send(request)))
    return median(after) - usual


def _tell(report: Report, what: str, times: dict[str, list[float]], unit: str) -> None:
    report.figures.append(Figure(what, median(times[PROCESS]), unit, THREAD, median(times[THREAD])))
