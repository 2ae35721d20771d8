"""Answers that take longer than a page may: each is measured in the background, and the last one is kept.

Each process measures for itself. A page that asks for one no older than a time gets it from any of a service's workers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from face128.errors import Face128Error
from face128.logs import plain_traceback

log = logging.getLogger("face128")

T = TypeVar("T")

MAX_KEPT = 100  # the least recently wanted ones are forgotten

Pause = Callable[[float], bool]
"""A job calls it now and then with the seconds that it has worked since, and rests as long. True: it ends."""


@dataclass(frozen=True)
class Measured(Generic[T]):
    at: datetime
    """When it began."""
    seconds: float
    result: T | None
    """None if it failed."""
    error: Face128Error | None


@dataclass
class _Kept:
    last: Measured[Any] | None = None
    running: Future[None] | None = None
    """That of the measurement which runs, or waits for its turn."""


class Measurements:
    """Thread-safe. One job runs at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()
        self._waiting: deque[tuple[_Kept, Callable[[Pause], object], Future[None]]] = deque()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def last(self, *name: str) -> Measured[Any] | None:
        """The last measurement of this name; None if there is none."""
        with self._lock:
            kept = self._kept.get(name)
            return kept.last if kept else None

    def begin(self, *name: str, job: Callable[[Pause], object], after: datetime | None = None) -> Future[None] | None:
        """Measure it, unless that was done, and begun no earlier than ``after``.

        Returns what is done when the measurement is; None if there is nothing to be measured.
        """
        with self._lock:
            kept = self._kept.setdefault(name, _Kept())
            self._kept.move_to_end(name)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            done = kept.last is not None and (after is None or kept.last.at >= after)
            if kept.running is None and not done and not self._stopped.is_set():
                kept.running = Future()
                self._waiting.append((kept, job, kept.running))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="measurements", daemon=True)
                    self._thread.start()
            return kept.running

    def stop(self) -> None:
        """Begin nothing more; what runs ends at its next pause."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._stopped.is_set():
                    self._thread = None
                    return
                kept, job, future = self._waiting.popleft()
            measured = self._measure(job)
            with self._lock:
                kept.last, kept.running = measured, None
            future.set_result(None)

    def _measure(self, job: Callable[[Pause], T]) -> Measured[T]:
        at, start = datetime.now(UTC), time.monotonic()
        result: T | None = None
        error: Face128Error | None = None
        try:
            result = job(self._stopped.wait)
        except Face128Error as expected:  # it was logged where it was raised
            error = expected
        except Exception as unexpected:
            error = Face128Error()
            if not self._stopped.is_set():
                log.error("a measurement: %s", plain_traceback(unexpected))
        return Measured(at, time.monotonic() - start, result, error)
