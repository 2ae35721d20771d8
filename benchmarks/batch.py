"""POST /batch-extract with 16 photos, compared with the same photos sent one by one from one client."""

from __future__ import annotations

import base64
import json
from itertools import cycle, islice

import numpy as np

from benchmarks.harness import Figure, Report, interleave, medians
from benchmarks.photos import portraits
from benchmarks.services import FACE128, Request, Service, started

BATCH_PHOTOS = 16
ROUNDS = {0.25: 7, 1: 5}  # by megapixels
MIN_SPEEDUP = 1.6


def measure() -> Report:
    report = Report()
    with started(FACE128) as services:
        for megapixels in ROUNDS:
            report.figures.append(_compare(services[FACE128], megapixels))
    return report


def _compare(service: Service, megapixels: float) -> Figure:
    photos = list(islice(cycle(base64.b64encode(photo).decode() for photo in portraits(megapixels)), BATCH_PHOTOS))
    batch = Request("/batch-extract", json.dumps({"images": photos}).encode())
    single_requests = [Request("/extract-embedding", json.dumps({"image_base64": photo}).encode()) for photo in photos]
    batch_descriptors = [result["embedding"] for result in json.loads(service.send(batch))["results"]]
    single_descriptors = [json.loads(service.send(request))["embedding"] for request in single_requests]
    difference = np.abs(np.subtract(batch_descriptors, single_descriptors)).max()
    assert difference < 1e-5, f"the batch's descriptors differ by {difference}"
    contestants = {
        "batch": lambda: service.send(batch),
        "one by one": lambda: [service.send(one) for one in single_requests],
    }
    seconds = {name: value / 1e3 for name, value in medians(interleave(contestants, ROUNDS[megapixels])).items()}
    what = f"/batch-extract, {BATCH_PHOTOS} photos of {megapixels:g} megapixel{'s' if megapixels > 1 else ''}"
    return Figure(
        what,
        BATCH_PHOTOS / seconds["batch"],
        "photos/s",
        "one by one",
        BATCH_PHOTOS / seconds["one by one"],
        MIN_SPEEDUP,
    )
