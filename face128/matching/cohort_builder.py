"""Builds the cohort of a posted list once, and keeps it with the list: only the first probe pays for all its pairs."""

from __future__ import annotations

import threading

from face128.domain.descriptors import Metric
from face128.domain.members import Enrolled
from face128.errors import Overloaded
from face128.matching.cohort import Cohort

MAX_COHORT_ROWS = 20_000
"""Descriptors of a list that a request may wait for: four times the work of 10,000, some seconds."""
MAX_WAITING_REQUESTS = 4
"""Requests that may wait at once for a cohort to be built: the threads have other work to do."""


class CohortBuilder:
    """Thread-safe. One cohort is built at a time: it takes all cores, and much memory."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_WAITING_REQUESTS)

    def cohort(self, enrolled: Enrolled, metric: Metric) -> Cohort:
        """The cohort of a list; see Cohort.of. Raises Overloaded where too many requests wait for one already."""
        if (built := self._built(enrolled, metric)) is not None:
            return built
        if not self._places.acquire(blocking=False):
            raise Overloaded()
        try:
            with self._turn:
                if (built := self._built(enrolled, metric)) is None:
                    built = Cohort.of(enrolled.vectors, enrolled.people, metric)
                    enrolled.derived[metric] = built
                return built
        finally:
            self._places.release()

    @staticmethod
    def _built(enrolled: Enrolled, metric: Metric) -> Cohort | None:
        built: Cohort | None = enrolled.derived.get(metric)
        return built
