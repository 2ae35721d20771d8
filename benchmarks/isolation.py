"""The cost of encoding photos in worker processes, compared with threads in the service."""

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

from benchmarks.harness import Figure, Report, interleave, percentile, time_ms
from benchmarks.latency import match_while_encoding
from benchmarks.photos import portraits
from benchmarks.processes import process_tree, resource_usage
from benchmarks.services import FACE128, READY, Request, Service, upload

PROCESS, THREAD = "process", "thread"
STARTS = 5
ROUNDS = 40
THROUGHPUT_PHOTOS = 100  # in one turn
CLIENTS = 4
TURNS = 3


def measure() -> Report:
    report = Report()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        start_service = {
            name: partial(Service, FACE128, FACE128_DATA=folder, FACE128_ISOLATION=name) for name in (PROCESS, THREAD)
        }
        starts: dict[str, list[float]] = defaultdict(list)
        for _ in range(STARTS):
            for name, start in start_service.items():
                starts[name].append(_seconds_until_ready(start))
        services = {name: start() for name, start in start_service.items()}
        for service in services.values():
            stack.callback(service.stop)
            service.wait_for(READY)
        for megapixels in (0.25, 1, 12):
            request = upload(portraits(megapixels)[0])
            contestants: dict[str, Callable[[], object]] = {n: partial(s.send, request) for n, s in services.items()}
            interleave(contestants, 3)
            times = interleave(contestants, ROUNDS)
            _add_medians(report, f"/encode-image, {megapixels} megapixels, one after the other", times, "ms")
        rates: dict[str, list[float]] = defaultdict(list)
        waits: dict[str, list[float]] = defaultdict(list)
        for _ in range(TURNS):
            for name, service in services.items():
                rates[name].append(service.throughput(_photos(THROUGHPUT_PHOTOS), CLIENTS))
                match_while_encoding(service, waits[name])
        _add_medians(report, f"/encode-image, 1 megapixel, {CLIENTS} clients", rates, "photos/s")
        _add_medians(report, f"/match, 1 member, while {CLIENTS} clients encode: p50", waits, "ms")
        p99 = {name: percentile(times, 99) for name, times in waits.items()}
        report.figures.append(
            Figure(f"/match, 1 member, while {CLIENTS} clients encode: p99", p99[PROCESS], "ms", THREAD, p99[THREAD])
        )
        _add_medians(report, "start until ready", starts, "s")
        memory = {name: [resource_usage(service.process_id).memory_mb] for name, service in services.items()}
        _add_medians(report, "memory of all processes at the end of this", memory, "MB")
        extra_ms = _extra_ms_after_kill(services[PROCESS])
        report.figures.append(
            Figure("the first photo after a worker was killed, beyond the usual time", extra_ms, "ms")
        )
    return report


def _seconds_until_ready(start: Callable[[], Service]) -> float:
    begin = time.perf_counter()
    service = start()
    try:
        service.wait_for(READY)
        return time.perf_counter() - begin
    finally:
        service.stop()


def _photos(count: int) -> list[Request]:
    return list(islice(cycle([upload(photo) for photo in portraits(1)]), count))


def _extra_ms_after_kill(service: Service) -> float:
    """The extra time of the next photo after every worker was killed: the median of ten times."""
    request = upload(portraits(0.25)[0])
    usual = median(time_ms(lambda: service.send(request)) for _ in range(10))
    after = []
    for _ in range(10):
        for worker in process_tree(service.process_id)[2:]:
            os.kill(worker, signal.SIGKILL)
        after.append(time_ms(lambda: service.send(request)))
    return median(after) - usual


def _add_medians(report: Report, what: str, times: dict[str, list[float]], unit: str) -> None:
    report.figures.append(Figure(what, median(times[PROCESS]), unit, THREAD, median(times[THREAD])))
