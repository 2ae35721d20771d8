"""Events of the work: stage times, faces found, queue lengths, list cache hits.

The core reports them to one listener of the process (api/metrics/prometheus.py). Without a listener nothing is kept.
Stages are spans too (spans.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Literal, get_args

from face128.domain.model_card import ModelCard
from face128.spans import tracer

Stage = Literal["decode", "detect", "crop", "describe", "companions", "parse", "search"]
"""companions: to crop a face for the further networks, and to describe it by them."""
STAGES: tuple[Stage, ...] = get_args(Stage)
FACES_FOUND = "faces"

RecordedEvents = list[tuple[str, float]]
"""A stage and its seconds, or FACES_FOUND and a number of faces. Plain values, so that they can be pickled."""


class Listener:
    """Receives every event; this base class ignores them. Called from any thread."""

    def stage_ended(self, stage: Stage, seconds: float) -> None: ...
    def faces_found(self, count: int) -> None: ...
    def queue_length(self, pool: str, jobs: int) -> None: ...
    def list_cache_lookup(self, hit: bool) -> None: ...
    def list_cache_size(self, lists: int, memory_bytes: int) -> None: ...
    def engine_loaded(self, engine: str, card: ModelCard) -> None: ...
    def index_mended(self, what: str, vectors: int) -> None: ...
    def expected_fpir(self, rule: str, share: float) -> None: ...
    def unreadable_faces(self, reason: str, count: int) -> None: ...


class _ThreadState(threading.local):
    nested_seconds: float = 0.0  # seconds in stages that have ended inside the stage that is running
    photo_stages: dict[str, float] | None = None  # seconds of each stage of the photo in work, inside ``one_photo``
    recorded: RecordedEvents | None = None


_thread = _ThreadState()
_listener = Listener()


def set_listener(new: Listener) -> None:
    global _listener
    _listener = new


def listener() -> Listener:
    return _listener


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Time a block, less the stages nested in it: a detector may decode pixels while it runs."""
    outer_nested, _thread.nested_seconds = _thread.nested_seconds, 0.0
    start = perf_counter()
    try:
        with tracer().span(name):
            yield
    finally:
        total = perf_counter() - start
        own = total - _thread.nested_seconds
        _thread.nested_seconds = outer_nested + total
        _stage_ended(name, own)


@contextmanager
def one_photo() -> Iterator[None]:
    """Sum the stages of one photo: a stage that runs twice in this block is reported once. Blocks may be nested."""
    if _thread.photo_stages is not None:
        yield
        return
    stages = _thread.photo_stages = {}
    try:
        yield
    finally:
        _thread.photo_stages = None
        for name, seconds in stages.items():
            _report(name, seconds)


def faces_found(count: int) -> None:
    _report(FACES_FOUND, count)


@contextmanager
def recording() -> Iterator[RecordedEvents]:
    """Record this thread's events instead of reporting them, for another process to ``replay``."""
    before, _thread.recorded = _thread.recorded, []
    try:
        yield _thread.recorded
    finally:
        _thread.recorded = before


def replay(recorded: Any) -> None:
    """Report events recorded in another thread or process.

    Anything malformed is ignored: that process may be compromised.
    """
    for event in recorded if isinstance(recorded, list) else ():
        match event:
            case (str(name), float() | int() as value) if name == FACES_FOUND:
                _report(name, value)
            case (str(name), float() | int() as value) if name in STAGES:
                _stage_ended(name, value)


def _stage_ended(name: str, seconds: float) -> None:
    if _thread.photo_stages is None:
        _report(name, seconds)
    else:
        _thread.photo_stages[name] = _thread.photo_stages.get(name, 0.0) + seconds


def _report(name: str, value: float) -> None:
    if _thread.recorded is not None:
        _thread.recorded.append((name, value))
    elif name == FACES_FOUND:
        _listener.faces_found(int(value))
    else:
        _listener.stage_ended(name, value)  # type: ignore[arg-type]
