"""Four times the capacity for a minute: answers, refusals, /health, throughput, memory, and the speed afterwards."""

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
from benchmarks.processes import PeakMemory
from benchmarks.services import FACE128, READY, Service
from benchmarks.traffic import MIX

LOAD_FACTOR = 4
OVERLOAD_S = float(os.environ.get("OVERLOAD_SECONDS", "60"))
CAPACITY_CLIENTS = 8  # enough to keep every worker's queue filled, and few enough for no refusal
ONE_PATH_S = 10  # for the cost of each path alone
MIX_S = 20  # for the capacity of the mix
HEALTH_INTERVAL_S = 0.05
MAX_HEALTH_MS = 100.0
MIN_KEPT_RATIO = 0.9
MAX_MEMORY_MB = 700.0  # the idle processes, and FACE128_MAX_BODY_MEMORY


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
    costs_s = {}  # seconds of the whole service per answer
    for path, some in calls.items():
        alone = traffic.closed_loop(service.port, traffic.in_order({path: some}, (path,)), CAPACITY_CLIENTS, ONE_PATH_S)
        costs_s[path] = alone.seconds / alone.correct[path]
        report.notes.append(f"{isolation}: {path} alone, {1 / costs_s[path]:.1f}/s.")
    before_ms = _median_encode_ms(service, calls)
    mix = traffic.in_order(calls)
    at_capacity = traffic.closed_loop(service.port, mix, CAPACITY_CLIENTS, MIX_S)
    capacity = sum(at_capacity.rates().values())
    peak_memory = PeakMemory(service.process_id)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        waits = pool.submit(health_waits_ms, service.port, OVERLOAD_S)
        overloaded = traffic.open_loop(service, mix, LOAD_FACTOR * capacity, OVERLOAD_S)
        health_ms = waits.result()
    highest_mb = peak_memory.stop()
    after_ms = _median_encode_ms(service, calls)
    work_done, usual_work = (
        sum(rate * costs_s[path] for path, rate in outcome.rates().items()) for outcome in (overloaded, at_capacity)
    )
    wrong = [*overloaded.wrong, *at_capacity.wrong]
    what = f"{LOAD_FACTOR} times the capacity for {OVERLOAD_S:.0f} s, {isolation}"
    answered = overloaded.correct.total()
    sent = answered + overloaded.refused.total()
    report.figures += [
        Figure(f"{what}: answers neither right nor refused", len(wrong), f"of {sent}", at_most=0),
        Figure(f"{what}: /health, longest wait", max(health_ms), "ms", at_most=MAX_HEALTH_MS),
        Figure(f"{what}: /health, p99", percentile(health_ms, 99), "ms"),
        Figure(f"{what}: work done", work_done, "of all/s", "at the capacity", usual_work, at_least=MIN_KEPT_RATIO),
        Figure(f"{what}: memory, highest", highest_mb, "MB", at_most=MAX_MEMORY_MB),
        Figure(
            f"{what}: /encode-image alone, at once afterwards",
            after_ms,
            "ms",
            "before",
            before_ms,
            at_least=MIN_KEPT_RATIO,
        ),
    ]
    report.notes += [
        f"{isolation}: capacity {capacity:.1f}/s of {', '.join(MIX)} in turn; sent {sent / overloaded.seconds:.1f}/s.",
        f"{isolation}: correct {dict(overloaded.correct)} ({answered / overloaded.seconds:.1f}/s), "
        f"refused {dict(overloaded.refused)}.",
        f"{isolation}: median ms of correct answers {_median_ms(overloaded)}; "
        f"at the capacity {_median_ms(at_capacity)}.",
        *wrong[:5],
    ]


def _median_ms(outcome: traffic.Outcome) -> dict[str, float]:
    return {path: round(median(times), 1) for path, times in outcome.times_ms.items()}


def _median_encode_ms(service: Service, calls: dict[str, list[traffic.Call]]) -> float:
    """The median of /encode-image, sent by one client for two seconds."""
    path = "/encode-image"
    return median(
        traffic.closed_loop(service.port, traffic.in_order({path: calls[path]}, (path,)), 1, 2).times_ms[path]
    )


def health_waits_ms(port: int, seconds: float) -> list[float]:
    """The time of each request to /health, sent every HEALTH_INTERVAL_S."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def request_health() -> None:
        connection.request("GET", "/health")
        assert connection.getresponse().read()

    request_health()  # warm-up: the first request of a process imports modules
    waits_ms = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        try:
            request_health()
        except ConnectionError:  # the service closed the idle connection for a new one; the retry counts in the time
            connection.close()
            request_health()
        waits_ms.append(1e3 * (time.perf_counter() - start))
        time.sleep(HEALTH_INTERVAL_S)
    return waits_ms
