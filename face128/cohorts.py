"""The cohorts of the lists that were posted last: only the first probe against a list pays for all its pairs."""

from __future__ import annotations

import threading
from collections import OrderedDict

from face128.cohort import Cohort
from face128.descriptors import Metric
from face128.enrolled import Enrolled
from face128.errors import Overloaded

MOST_ROWS = 20_000
"""Descriptors of a list that a request may wait for: four times the work of 10,000, some seconds."""
KEPT = 16
"""Lists that are remembered: 2.4 MB each at most."""
WAITING = 4
"""Requests that may wait for a new list at once; there are other things to do for the threads."""


class Cohorts:
    """Thread-safe. One new list at a time is worked on: it takes all cores, and its memory is bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Cohort] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(WAITING)

    def of(self, enrolled: Enrolled, metric: Metric) -> Cohort:
        """The cohort of a list; see Cohort.of. Raises Overloaded where too many wait for one already."""
        key = (enrolled.fingerprint, metric)
        if (known := self._recall(key)) is not None:
            return known
        if not self._places.acquire(blocking=False):
            raise Overloaded()
        try:
            with self._turn:
                cohort = self._recall(key) or Cohort.of(enrolled.vectors, enrolled.people, metric)
            self._keep(key, cohort)
        finally:
            self._places.release()
        return cohort

    def _recall(self, key: tuple[object, ...]) -> Cohort | None:
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def _keep(self, key: tuple[object, ...], cohort: Cohort) -> None:
        with self._lock:
            self._kept[key] = cohort
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
