"""The second network: POST /encode-image with ?companions=true, compared with dlib's network alone; and its memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import SHARED, Figure, Report, interleave, medians
from benchmarks.photos import portraits
from benchmarks.processes import resource_usage
from benchmarks.services import FACE128, READY, Request, Service, upload

MODEL = SHARED / "data" / "retail-0095"
ROUNDS = {0.25: 10, 1: 20}  # by megapixels
MAX_COST = {1: 1.25}  # times as long as alone, by megapixels
ENCODES = 50  # before the memory is read: each worker process has then run both networks
CLIENTS = 4
CONCURRENT_ROUNDS = 3
MAX_MEMORY_MB = 40.0


def measure() -> Report:
    report = Report()
    if not MODEL.exists():
        report.notes.append(f"No figures of the second network: ../{MODEL.relative_to(SHARED.parent)} is missing.")
        return report
    with ExitStack() as stack:
        alone = stack.enter_context(_started())
        both = stack.enter_context(_started(FACE128_ENGINES="dlib,retail", FACE128_RETAIL_MODEL=str(MODEL)))
        if Path("/proc/self/smaps_rollup").exists():
            _memory(alone, both, report)
        for megapixels, rounds in ROUNDS.items():
            _time(both, megapixels, rounds, report)
        _four_clients(both, report)
    return report


def _time(service: Service, megapixels: float, rounds: int, report: Report) -> None:
    times: dict[str, list[float]] = defaultdict(list)
    for photo in portraits(megapixels):
        request = upload(photo)
        contestants = {"alone": partial(service.send, request), "both": partial(service.send, _by_both(request))}
        for name, runs in interleave(contestants, rounds).items():
            times[name] += runs
    typical = medians(times)
    size = f"{megapixels:g} megapixel{'s' if megapixels > 1 else ''}"
    goal = 1 / MAX_COST[int(megapixels)] if megapixels in MAX_COST else None
    what = f"/encode-image by both networks, {size}"
    report.figures.append(Figure(what, typical["both"], "ms", "dlib's alone", typical["alone"], at_least=goal))


def _four_clients(service: Service, report: Report) -> None:
    """All cores are busy: the second network takes its whole time."""
    requests = [upload(portraits(1)[i % len(portraits(1))]) for i in range(ENCODES)]
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(CONCURRENT_ROUNDS):
        rates["alone"].append(service.throughput(requests, CLIENTS))
        rates["both"].append(service.throughput([_by_both(each) for each in requests], CLIENTS))
    what = f"/encode-image by both networks, 1 megapixel, {CLIENTS} clients at once"
    typical = medians(rates)
    report.figures.append(Figure(what, typical["both"], "photos/s", "dlib's alone", typical["alone"]))


def _by_both(request: Request) -> Request:
    return replace(request, path=f"{request.path}?companions=true")


def _memory(alone: Service, both: Service, report: Report) -> None:
    """What the second network takes in the service and its workers, loaded and at work."""
    loaded = _private_mb(both) - _private_mb(alone)
    requests = [upload(portraits(1)[i % len(portraits(1))]) for i in range(ENCODES)]
    alone.throughput(requests, CLIENTS)
    both.throughput([_by_both(each) for each in requests], CLIENTS)
    at_work = _private_mb(both) - _private_mb(alone)
    report.figures += [
        Figure("memory of the second network, loaded", loaded, "MB", at_most=MAX_MEMORY_MB),
        Figure(f"memory of the second network, after {ENCODES} encodes", at_work, "MB", at_most=MAX_MEMORY_MB),
    ]


def _private_mb(service: Service) -> float:
    return resource_usage(service.process_id).private_mb


@contextmanager
def _started(**settings: str) -> Iterator[Service]:
    with TemporaryDirectory() as folder:  # no gallery of this machine
        service = Service(FACE128, FACE128_DATA=folder, **settings)
        try:
            service.wait_for(READY)
            yield service
        finally:
            service.stop()
