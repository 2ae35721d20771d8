"""POST /batch-extract with 16 photos beside the same photos sent one by one from one client."""

from __future__ import annotations

import base64
import json
from itertools import cycle, islice

from benchmarks.harness import Figure, Report, interleave, medians
from benchmarks.photos import portraits
from benchmarks.services import FACE128, Request, Service, started

PHOTOS = 16
ROUNDS = {0.25: 7, 1: 5}  # by megapixels
GOAL = 1.6


def measure() -> Report:
    report = Report()
    with started(FACE128) as services:
        for megapixels in ROUNDS:
            report.figures.append(_compare(services[FACE128], megapixels))
    return report


def _compare(service: Service, megapixels: float) -> Figure:
    photos = list(islice(cycle(base64.b64encode(photo).decode() for photo in portraits(megapixels)), PHOTOS))
    together = Request("/batch-extract", json.dumps({"images": photos}).encode())
    singly = [Request("/extract-embedding", json.dumps({"image_base64": photo}).encode()) for photo in photos]
    in_one = [result["embedding"] for result in json.loads(service.send(together))["results"]]
    one_by_one = [json.loads(service.send(request))["embedding"] for request in singly]
    apart = max(abs(a - b) for x, y in zip(in_one, one_by_one, strict=True) for a, b in zip(x, y, strict=True))
    assert apart < 1e-5, f"the batch's descriptors differ by {apart}"
    turns = {"together": lambda: service.send(together), "one by one": lambda: [service.send(one) for one in singly]}
    seconds = {name: value / 1e3 for name, value in medians(interleave(turns, ROUNDS[megapixels])).items()}
    what = f"/batch-extract, {PHOTOS} photos of {megapixels:g} megapixel{'s' if megapixels > 1 else ''}"
    return Figure(what, PHOTOS / seconds["together"], "photos/s", "one by one", PHOTOS / seconds["one by one"], GOAL)
