"""The metrics of /metrics: counted in each worker, added up over all of them.

Callers cannot choose the value of a label (route, code, model, name of a key), so the number of series is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache, partial
from typing import Any

import psutil
from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from face128 import __version__
from face128.api.metrics.multiprocess import METRICS_FOLDER_VARIABLE, drop_dead_gauges
from face128.api.metrics.process_collector import ProcessCollector
from face128.domain.model_card import CARDS, ModelCard, pair_card
from face128.events import STAGES, Listener, Stage
from face128.spans import tracer

POOLS = ("images", "gallery", "gallery_changes")
# Exported as 0 from the start, so that Prometheus sees the first increase.
INITIAL_ERROR_CODES = ("overloaded", "throttled", "unauthorized", "forbidden", "not_ready", "internal")
HTTP_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FACE_BUCKETS = (0, 1, 2, 3, 5, 10, 20)
# Densest around the thresholds, which are bucket bounds themselves: 0.38 of 128-d models, 0.45 of InsightFace packs,
# 0.65 of retail and 0.66 of pairs.
DISTANCE_BUCKETS = (
    *(0.1, 0.15, *(hundredths / 100 for hundredths in range(20, 44, 2)), 0.45),
    *(0.5, 0.55, 0.6, 0.65, 0.66, 0.7, 0.8, 1),
)


class Metrics(Listener):
    """Thread-safe. Labelled children are cached: ``labels()`` would otherwise be called several times a request."""

    def __init__(self) -> None:
        self._has_several_workers = METRICS_FOLDER_VARIABLE in os.environ
        self._registry = CollectorRegistry()
        registry: Any = None if self._has_several_workers else self._registry
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        durations = partial(histogram, buckets=DURATION_BUCKETS_S)
        gauge = partial(Gauge, registry=registry)
        info = partial(gauge, multiprocess_mode="livemax")
        self._requests = counter("face128_requests", "Answers", ["route", "method", "code"])
        description = "From the head of the request to the end of the answer"
        self._durations = durations("face128_request_duration_seconds", description, ["route", "method"])
        description = "Stages of the work on a photo, and searches"
        self._stages = durations("face128_stage_duration_seconds", description, ["stage"])
        self._queue = gauge("face128_queue_jobs", "Jobs that run or wait", ["pool"], multiprocess_mode="livesum")
        self._errors = counter("face128_errors", "Error answers by code", ["code"])
        self._faces = histogram("face128_faces_per_image", "Faces in a photo", buckets=FACE_BUCKETS)
        self._decisions = counter("face128_decisions", "Decisions: match or no match", ["result"])
        description, labels = "What FACE128_SHADOW_MODELS would have decided", ["models", "result"]
        self._shadow_decisions = counter("face128_shadow_decisions", description, labels)
        description, labels = "Distance to the nearest member, matched or not", ["model", "result"]
        self._distances = histogram("face128_match_distance", description, labels, buckets=DISTANCE_BUCKETS)
        self._lists = counter("face128_lists", "Lists of /match above 64 KiB or by reference", ["known"])
        gauge_of_all = partial(gauge, multiprocess_mode="livesum")
        self._cached_lists = gauge_of_all("face128_cached_lists", "Lists in the list cache")
        self._cached_list_bytes = gauge_of_all("face128_cached_list_bytes", "Memory of the list cache")
        description = "Share of strangers who would match somebody of the gallery (of the worst collection)"
        fpir = partial(gauge, multiprocess_mode="livemostrecent")
        self._expected_fpir = fpir("face128_gallery_expected_fpir", description, ["rule"])
        description = "Faces of the encrypted gallery that cannot be opened"
        self._unreadable_faces = info("face128_gallery_unreadable_faces", description, ["reason"])
        description = "Vectors that Milvus had lost, or had too many or wrong, and that were mended"
        self._mended_vectors = counter("face128_milvus_mended_vectors", description, ["what"])
        self._keys = counter("face128_key_requests", "Requests by name of the API key", ["key"])
        description = "When a key was last used, in seconds since 1970"
        last_use = partial(gauge, multiprocess_mode="max")
        self._key_uses = last_use("face128_key_last_request_timestamp_seconds", description, ["key"])
        self._engines = info("face128_engine_info", "Engines that are ready", ["engine", "model", "pipeline"])
        info("face128_info", "Service version", ["version"]).labels(__version__).set(1)
        self._cards = set(CARDS.values())
        self._models = _names_with_pairs(self._cards)
        self._stage_children = {stage: self._stages.labels(stage) for stage in STAGES}
        for pool in POOLS:
            self.queue_length(pool, 0)
        for code in INITIAL_ERROR_CODES:
            self._errors.labels(code)
        for result in ("match", "no_match"):
            self._decisions.labels(result)
        self._list_lookups = {hit: self._lists.labels("yes" if hit else "no") for hit in (True, False)}

        self._request_children = cache(
            lambda route, method, code: (
                self._requests.labels(route, method, code),
                self._durations.labels(route, method),
            )
        )
        self._decision_children = cache(
            lambda model, result: (self._decisions.labels(result), self._distances.labels(model, result))
        )

    def count_request(self, route: str, method: str, code: int, seconds: float) -> None:
        counter, durations = self._request_children(route, method if method in HTTP_METHODS else "other", code)
        counter.inc()
        durations.observe(seconds)

    def count_error(self, code: str) -> None:
        """Count the error answer of the request in work, whose span has the code, too."""
        self._errors.labels(code).inc()
        tracer().note(**{"face128.error_code": code})

    def count_key_request(self, name: str) -> None:
        self._keys.labels(name).inc()
        self._key_uses.labels(name).set_to_current_time()

    def count_decision(self, model: str, distance: float | None, matched: bool) -> None:
        """Count a decision; ``distance`` is that of the nearest member, None if there is none, or none was searched."""
        # Callers of /match name the model of their descriptors, and could invent any number of names.
        model = model if model in self._models else "other"
        counter, distances = self._decision_children(model, "match" if matched else "no_match")
        counter.inc()
        if distance is not None:
            distances.observe(distance)

    def count_shadow_decision(self, models: str, result: str) -> None:
        self._shadow_decisions.labels(models, result).inc()

    def stage_ended(self, stage: Stage, seconds: float) -> None:
        self._stage_children[stage].observe(seconds)

    def faces_found(self, count: int) -> None:
        self._faces.observe(count)

    def list_cache_lookup(self, hit: bool) -> None:
        self._list_lookups[hit].inc()

    def list_cache_size(self, lists: int, memory_bytes: int) -> None:
        self._cached_lists.set(lists)
        self._cached_list_bytes.set(memory_bytes)

    def queue_length(self, pool: str, jobs: int) -> None:
        self._queue.labels(pool).set(jobs)

    def engine_loaded(self, engine: str, card: ModelCard) -> None:
        self._cards.add(card)
        self._models = _names_with_pairs(self._cards)
        self._engines.labels(engine, card.name, card.pipeline).set(1)

    def expected_fpir(self, rule: str, share: float) -> None:
        self._expected_fpir.labels(rule).set(share)

    def unreadable_faces(self, reason: str, count: int) -> None:
        self._unreadable_faces.labels(reason).set(count)

    def index_mended(self, what: str, vectors: int) -> None:
        self._mended_vectors.labels(what).inc(vectors)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format 0.0.4. Blocking: it reads /proc and the files of the workers."""
        return generate_latest(self._of_all_workers()) + generate_latest(ProcessCollector(self._root))

    def key_uses(self) -> dict[str, float]:
        """When each key was last used by a request to any worker since the service was started, in seconds since 1970.

        Blocking, as ``exposition``.
        """
        name = "face128_key_last_request_timestamp_seconds"
        families = self._of_all_workers().collect()
        samples = (sample for family in families if family.name == name for sample in family.samples)
        return {sample.labels["key"]: sample.value for sample in samples}

    def started_at(self) -> float:
        """When the service was started, in seconds since 1970."""
        return float(psutil.Process(self._root).create_time())

    @property
    def _root(self) -> int:
        """The process whose descendants all others are."""
        return os.getppid() if self._has_several_workers else os.getpid()

    def _of_all_workers(self) -> CollectorRegistry:
        if not self._has_several_workers:
            return self._registry
        folder = os.environ[METRICS_FOLDER_VARIABLE]
        drop_dead_gauges(folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return registry


def _names_with_pairs(cards: Collection[ModelCard]) -> set[str]:
    """The names of the models, and of the pairs of any two of them."""
    pairs = (pair_card(first, second) for first in cards for second in cards)
    return {card.name for card in (*cards, *pairs) if card is not None}


def metrics_of(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics
