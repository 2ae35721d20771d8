"""What /metrics tells, in Prometheus's format: counted in each worker, added up over all of them.

Labels are routes, codes, models and names of keys: none of them is what a caller chooses, so that there are few series.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from face128 import __version__
from face128.api.metrics.multiprocess import FOLDER, System, forget_the_dead
from face128.domain.model_card import CARDS, ModelCard
from face128.events import STAGES, Stage, Watcher

POOLS = ("images", "gallery")
# Told from the start, as 0: the first increase can then be seen.
ERRORS = ("overloaded", "throttled", "unauthorized", "forbidden", "not_ready", "internal")
METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FACES = (0, 1, 2, 3, 5, 10, 20)
# Closest about the thresholds, which are bounds themselves: 0.38 of 128-d models, 0.45 of InsightFace packs.
DISTANCES = (0.1, 0.15, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.32, 0.34, 0.36, 0.38, 0.4, 0.42, 0.45, 0.5, 0.6, 0.8, 1)


class Metrics(Watcher):
    """Thread-safe. A child of a metric is looked up once, and then kept: each request takes some of them."""

    def __init__(self) -> None:
        self._several = FOLDER in os.environ
        self._registry = CollectorRegistry()
        registry: Any = None if self._several else self._registry
        self._requests = Counter("face128_requests", "Answers", ["route", "method", "code"], registry=registry)
        self._durations = Histogram(
            "face128_request_duration_seconds",
            "From the request's head to the answer's end",
            ["route", "method"],
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "face128_stage_duration_seconds",
            "Stages of the work on a photo, and searches",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._queue = Gauge(
            "face128_queue_jobs", "Jobs that run or wait", ["pool"], multiprocess_mode="livesum", registry=registry
        )
        self._errors = Counter("face128_errors", "Answers that are an error, by its code", ["code"], registry=registry)
        self._faces = Histogram("face128_faces_per_image", "Faces found in a photo", buckets=FACES, registry=registry)
        self._decisions = Counter("face128_decisions", "Whose face is this", ["result"], registry=registry)
        self._distances = Histogram(
            "face128_match_distance",
            "Distance of the nearest, whether he matched or not",
            ["model", "result"],
            buckets=DISTANCES,
            registry=registry,
        )
        self._lists = Counter("face128_lists", "Lists of /match above 64 KiB", ["known"], registry=registry)
        self._keys = Counter("face128_key_requests", "Requests by the key's name", ["key"], registry=registry)
        self._engines = Gauge(
            "face128_engine_info",
            "Engines that are ready",
            ["engine", "model", "pipeline"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        info = Gauge("face128_info", "The version", ["version"], multiprocess_mode="livemax", registry=registry)
        info.labels(__version__).set(1)
        self._models = set(CARDS)
        self._of_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._of_decision: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._of_stage = {stage: self._stages.labels(stage) for stage in STAGES}
        for pool in POOLS:
            self.queue(pool, 0)
        for code in ERRORS:
            self._errors.labels(code)
        for result in ("match", "no_match"):
            self._decisions.labels(result)
        self._of_list = {known: self._lists.labels("yes" if known else "no") for known in (True, False)}

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        method = method if method in METHODS else "other"
        known = self._of_request.get((route, method, code))
        if known is None:
            known = self._requests.labels(route, method, code), self._durations.labels(route, method)
            self._of_request[route, method, code] = known
        known[0].inc()
        known[1].observe(seconds)

    def error(self, code: str) -> None:
        self._errors.labels(code).inc()

    def key(self, name: str) -> None:
        self._keys.labels(name).inc()

    def decided(self, model: str, distance: float | None, matched: bool) -> None:
        """Somebody asked whose face it is. ``distance`` is the nearest one's; None where nobody is enrolled."""
        # A caller of /match names the model of his descriptors, and may make up any number of names.
        model, result = model if model in self._models else "other", "match" if matched else "no_match"
        known = self._of_decision.get((model, result))
        if known is None:
            known = self._decisions.labels(result), self._distances.labels(model, result)
            self._of_decision[model, result] = known
        known[0].inc()
        if distance is not None:
            known[1].observe(distance)

    def stage(self, stage: Stage, seconds: float) -> None:
        self._of_stage[stage].observe(seconds)

    def faces(self, count: int) -> None:
        self._faces.observe(count)

    def listed(self, known: bool) -> None:
        self._of_list[known].inc()

    def queue(self, pool: str, jobs: int) -> None:
        self._queue.labels(pool).set(jobs)

    def loaded(self, engine: str, card: ModelCard) -> None:
        self._models.add(card.name)
        self._engines.labels(engine, card.name, card.pipeline).set(1)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format 0.0.4. Blocking: with several workers it reads their files."""
        if not self._several:
            return generate_latest(self._registry) + generate_latest(System(os.getpid()))
        folder = os.environ[FOLDER]
        forget_the_dead(folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(System(os.getppid()))


def metrics_of(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics
