"""POST /encode-image, compared with the naive service: portraits of several sizes, from one client and from four."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from statistics import median

import numpy as np

from benchmarks.harness import Curve, Figure, Report, interleave, medians
from benchmarks.photos import portraits
from benchmarks.services import FACE128, NAIVE, NO_NAIVE, Crashed, Request, Service, started, upload

ROUNDS = {0.25: 3, 1: 3, 3: 1, 11: 1}  # by megapixels; the naive service takes seconds for the largest
MIN_SPEEDUP = {1: 8.0, 11: 30.0}  # by megapixels
CLIENTS = 4
CONCURRENT_PHOTOS = {1: (40, 8), 11: (20, 4)}  # by megapixels: photos to face128 and to the naive service in one round
CONCURRENT_ROUNDS = 3
MIN_SCALING = 1.7


def measure() -> Report:
    report = Report()
    with started(FACE128, NAIVE) as services:
        if NAIVE not in services:
            report.notes.append(NO_NAIVE)
        report.curves["megapixels"] = _one_client(services, report)
        for megapixels in CONCURRENT_PHOTOS:
            _four_clients(services, megapixels, report)
    return report


def _one_client(services: dict[str, Service], report: Report) -> Curve:
    curve: Curve = {name: [] for name in services}
    for megapixels, rounds in ROUNDS.items():
        requests = [upload(photo) for photo in portraits(megapixels)]
        distances = [_descriptor_distance(services, request) for request in requests]  # also warms both up
        times: dict[str, list[float]] = defaultdict(list)
        for request in requests:
            contestants = {name: partial(service.send, request) for name, service in services.items()}
            for name, runs in interleave(contestants, rounds).items():
                times[name] += runs
        typical = medians(times)
        for name, milliseconds in typical.items():
            curve[name].append((megapixels, milliseconds))
        what = f"/encode-image, {_size(megapixels)}"
        report.figures.append(
            Figure(what, typical[FACE128], "ms", NAIVE, typical.get(NAIVE), at_least=MIN_SPEEDUP.get(int(megapixels)))
        )
        if NAIVE in services:
            report.figures.append(Figure(f"{what}: how far from its descriptors, median", median(distances), "L2"))
    return curve


def _descriptor_distance(services: dict[str, Service], request: Request) -> float:
    """L2 distance of face128's descriptor (fast detection) from the naive service's, which is face_recognition's."""
    answers = [np.array(json.loads(service.send(request))["descriptor"]) for service in services.values()]
    return float(np.linalg.norm(answers[0] - answers[-1]))


def _four_clients(services: dict[str, Service], megapixels: float, report: Report) -> None:
    requests = [upload(photo) for photo in portraits(megapixels)]
    for_face128, for_naive = (
        [requests[i % len(requests)] for i in range(count)] for count in CONCURRENT_PHOTOS[int(megapixels)]
    )
    one_client, four_clients = [], []
    for _ in range(CONCURRENT_ROUNDS):
        one_client.append(services[FACE128].throughput(for_face128, 1))
        four_clients.append(services[FACE128].throughput(for_face128, CLIENTS))
    what = f"/encode-image, {_size(megapixels)}, {CLIENTS} clients at once"
    rate = median(four_clients)
    report.figures.append(Figure(what, rate, "photos/s", "one client", median(one_client), at_least=MIN_SCALING))
    if NAIVE in services:
        try:
            naive = services[NAIVE].throughput(for_naive, CLIENTS)
            report.figures.append(Figure(what, rate, "photos/s", NAIVE, naive))
        except Crashed as crash:
            report.notes.append(f"{crash}: {what}.")
            services[NAIVE].restart()


def _size(megapixels: float) -> str:
    return f"{megapixels:g} megapixel{'s' if megapixels > 1 else ''}"
