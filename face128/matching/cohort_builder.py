"""The cohorts of posted lists: built once for each, and kept with it."""

from __future__ import annotations

import threading

import numpy as np

from face128.domain.descriptors import Metric
from face128.domain.members import MemberList
from face128.errors import Overloaded
from face128.matching.asking_photos import asked_by_photos, first_photos
from face128.matching.conformal import Cohort

MAX_COHORT_ROWS = 20_000
"""Most descriptors of a list whose cohort a request waits for: some seconds, four times as long as for 10,000."""
MAX_WAITING_REQUESTS = 4
"""Requests that may build or wait for a cohort at once: their threads are also needed for other work."""


class CohortBuilder:
    """Builds the cohort of a list and keeps it with the list: only the first probe pays for comparing all pairs.

    One at a time, because each uses all cores and much memory. Thread-safe.
    """

    def __init__(self) -> None:
        self._build_lock = threading.Lock()
        self._waiting_slots = threading.BoundedSemaphore(MAX_WAITING_REQUESTS)

    def cohort(self, members: MemberList, metric: Metric, photos: MemberList | None = None) -> Cohort:
        """The cohort of a list, built if it is new. Raises Overloaded if too many requests wait for one.

        ``photos`` is the list whose templates ``members`` has.
        """
        cohorts: dict[str, Cohort] = members.derived
        if metric in cohorts:
            return cohorts[metric]
        if not self._waiting_slots.acquire(blocking=False):
            raise Overloaded()
        try:
            with self._build_lock:
                if metric not in cohorts:
                    cohorts[metric] = _cohort(members, metric, photos)
                return cohorts[metric]
        finally:
            self._waiting_slots.release()


def _cohort(members: MemberList, metric: Metric, photos: MemberList | None) -> Cohort:
    cohort = Cohort.of(members.vectors, members.person_ids, metric)
    if photos is None:
        return cohort
    asking = first_photos(photos.person_ids)
    own_ids = np.searchsorted(np.unique(members.person_ids), photos.person_ids[asking])
    return asked_by_photos(cohort, photos.vectors[asking], own_ids, members.vectors, cohort.member_ids, metric)
