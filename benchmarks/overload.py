"""Four times the capacity for a minute: right answers, refusals, /health, throughput, memory, and what comes after."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from benchmarks import traffic
from benchmarks.harness import Figure, Report, percentile
from benchmarks.processes import Highest
from benchmarks.services import FACE128, READY, Service
from benchmarks.traffic import MIX

TIMES = 4
SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "60"))
CLIENTS = 8  # of the capacity: enough for every worker to have the next photo waiting, few enough never to be refused
ALONE = 10  # seconds for what each path costs alone, and for the capacity of the mix twice as many
HEALTH_EVERY = 0.05
HEALTH_LIMIT = 100.0
KEPT = 0.9
MEMORY_LIMIT = 700.0  # MB: the processes at rest, and FACE128_MAX_BODY_MEMORY


def measure() -> Report:
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        for isolation in os.environ.get("OVERLOAD_ISOLATION", "process,thread").split(","):
            service = Service(FACE128, FACE128_DATA=folder, FACE128_ISOLATION=isolation)
            try:
                service.wait_for(READY)
                _measure(service, isolation, report)
            finally:
                service.stop()
    return report


def _measure(service: Service, isolation: str, report: Report) -> None:
    calls = traffic.prepare(service)
    costs = {}  # seconds of the whole service that one answer takes
    for path, some in calls.items():
        alone = traffic.closed(service, traffic.mixed({path: some}, (path,)), CLIENTS, ALONE)
        costs[path] = alone.seconds / alone.right[path]
        report.notes.append(f"{isolation}: {path} alone, {1 / costs[path]:.1f}/s.")
    before = _alone(service, calls)
    mix = traffic.mixed(calls)
    calm = traffic.closed(service, mix, CLIENTS, 2 * ALONE)
    capacity = sum(calm.rates().values())
    memory = Highest(service.process_id)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        waits = pool.submit(health, service.port, SECONDS)
        storm = traffic.paced(service, mix, TIMES * capacity, SECONDS)
        health_waits = waits.result()
    highest = memory.stop()
    after = _alone(service, calls)
    worked, usual = (sum(rate * costs[path] for path, rate in o.rates().items()) for o in (storm, calm))
    wrong = [*storm.wrong, *calm.wrong]
    what = f"{TIMES} times the capacity for {SECONDS:.0f} s, {isolation}"
    asked, answered = sum(map(sum, (storm.right.values(), storm.refused.values()))), sum(storm.right.values())
    report.figures += [
        Figure(f"{what}: answers neither right nor refused", len(wrong), f"of {asked}", at_most=0),
        Figure(f"{what}: /health, longest wait", max(health_waits), "ms", at_most=HEALTH_LIMIT),
        Figure(f"{what}: /health, p99", percentile(health_waits, 99), "ms"),
        Figure(f"{what}: work done", worked, "of all/s", "at the capacity", usual, at_least=KEPT),
        Figure(f"{what}: memory, highest", highest, "MB", at_most=MEMORY_LIMIT),
        Figure(f"{what}: /encode-image alone, at once afterwards", after, "ms", "before", before, at_least=KEPT),
    ]
    report.notes += [
        f"{isolation}: capacity {capacity:.1f}/s of {', '.join(MIX)} by turns; asked {asked / storm.seconds:.1f}/s.",
        f"{isolation}: right {dict(storm.right)} ({answered / storm.seconds:.1f}/s), refused {dict(storm.refused)}.",
        f"{isolation}: median ms of right answers { ({p: round(median(t), 1) for p, t in storm.times.items()}) }; "
        f"at the capacity { ({p: round(median(t), 1) for p, t in calm.times.items()}) }.",
        *wrong[:5],
    ]


def _alone(service: Service, calls: dict[str, list[traffic.Call]]) -> float:
    """The median of two seconds of /encode-image, one after the other: milliseconds."""
    path = "/encode-image"
    return median(traffic.closed(service, traffic.mixed({path: calls[path]}, (path,)), 1, 2).times[path])


def health(port: int, seconds: float) -> list[float]:
    """How long each of many requests to /health took, one every HEALTH_EVERY seconds: milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask() -> None:
        connection.request("GET", "/health")
        assert connection.getresponse().read()

    ask()  # this process's own first time, in which it imports much
    waits = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        try:
            ask()
        except ConnectionError:  # an idle connection had to make way: once more on a new one, in the same time
            connection.close()
            ask()
        waits.append(1e3 * (time.perf_counter() - start))
        time.sleep(HEALTH_EVERY)
    return waits
