"""The decision of /match: the nearest member, if near enough.

By the threshold rule the member of the nearest descriptor is accepted if ``distance <= threshold``, as face_recognition
compares; of equal distances the first in the list is taken. By the cohort rule strangers must also rarely come as near
(conformal.py), and the threshold is the model's ``cohort_cap``. Distances are those of ``descriptors.distances``, to
the last bit.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import Metric, Vector, distances
from face128.domain.members import MatchRequest, MemberList, RegNo
from face128.errors import InvalidRequest, Overloaded, TooLarge
from face128.events import stage
from face128.matching.conformal import Cohort, ConformalScore, require_enough_members
from face128.matching.fast_distances import approximate_distances

# Far above the relative error of an approximate distance, about 1e-14 in any order of summation.
DISTANCE_ROUNDING = 1e-9

MAX_COHORT_ROWS = 20_000
"""Most descriptors of a list whose cohort a request waits for: some seconds, four times as long as for 10,000."""
MAX_WAITING_REQUESTS = 4
"""Requests that may build or wait for a cohort at once: their threads are also needed for other work."""


@dataclass(frozen=True)
class Candidate:
    """A member, and the distance of their nearest descriptor."""

    reg_no: RegNo
    name: str | None
    distance: float
    other_model: bool = False
    """Another, comparable model made the member's descriptors."""


@dataclass(frozen=True)
class Decision:
    """The nearest member, and what decides whether they are accepted."""

    nearest: Candidate | None
    """None if nobody is enrolled."""
    runner_up: Candidate | None
    """The nearest with another regNo: a member may be listed several times. None if not wanted, or if nobody is."""
    threshold: float
    model: str
    rule: Rule = THRESHOLD
    conformal_score: ConformalScore | None = None
    """None if not wanted, or if there are too few members."""

    @property
    def matched(self) -> bool:
        if self.nearest is None or not self.nearest.distance <= self.threshold:
            return False
        if self.rule.name == "threshold":
            return True
        return self.conformal_score is not None and self.conformal_score.stranger_risk <= self.rule.alpha

    @property
    def distance(self) -> float | None:
        """The distance of the nearest member."""
        return None if self.nearest is None else self.nearest.distance

    @property
    def margin(self) -> float | None:
        """How much further away the runner-up is."""
        if self.nearest is None or self.runner_up is None:
            return None
        return self.runner_up.distance - self.nearest.distance

    def answer(self, *, explain: bool = False) -> dict[str, Any]:
        """The JSON answer of /match. It never identifies a nearest member who is not accepted, except by distance."""
        answer: dict[str, Any] = {"match": False}
        if self.nearest is not None and self.matched:
            answer = {"regNo": self.nearest.reg_no, "name": self.nearest.name}
        if explain:
            other = self.runner_up
            answer |= {
                "distance": self.distance,
                "threshold": self.threshold,
                "model": self.model,
                "runner_up": other and {"regNo": other.reg_no, "name": other.name, "distance": other.distance},
                "margin": self.margin,
            }
            if (conformal := self.conformal_score) is not None:
                answer |= {"score": conformal.score, "stranger_risk": conformal.stranger_risk}
            if self.rule.name == "cohort":
                answer |= {"decision": {"rule": "cohort", "alpha": self.rule.alpha}}
            if self.nearest is not None and self.nearest.other_model:
                answer["mixed_models"] = True
        return answer


class CohortBuilder:
    """Builds the cohort of a list and keeps it with the list: only the first probe pays for comparing all pairs.

    One at a time, because each uses all cores and much memory. Thread-safe.
    """

    def __init__(self) -> None:
        self._build_lock = threading.Lock()
        self._waiting_slots = threading.BoundedSemaphore(MAX_WAITING_REQUESTS)

    def cohort(self, members: MemberList, metric: Metric) -> Cohort:
        """The cohort of a list, built if it is new. Raises Overloaded if too many requests wait for one."""
        cohorts: dict[str, Cohort] = members.derived
        if metric in cohorts:
            return cohorts[metric]
        if not self._waiting_slots.acquire(blocking=False):
            raise Overloaded()
        try:
            with self._build_lock:
                if metric not in cohorts:
                    cohorts[metric] = Cohort.of(members.vectors, members.person_ids, metric)
                return cohorts[metric]
        finally:
            self._waiting_slots.release()


@stage("search")
def decide(request: MatchRequest, builder: CohortBuilder | None = None, *, explain: bool = False) -> Decision:
    """Decide a request that contains its members.

    ``explain`` adds the runner-up and, by either rule, the conformal score. ``builder`` limits how many cohorts are
    built at once. Raises InvalidRequest if the request has no ``enrolled``; TooFewMembers and TooLarge by the cohort
    rule; Overloaded if too many requests wait for a cohort.
    """
    members, card, rule = request.enrolled, request.card, request.rule
    if members is None:
        raise InvalidRequest("There is no list of enrolled members.", field="enrolled")
    approximate = approximate_distances(members.vectors, request.probe, card.metric)
    conformal = None
    if rule.name == "cohort":
        require_enough_members(int(np.count_nonzero(np.bincount(members.person_ids))), rule.alpha)
        if len(members.vectors) > MAX_COHORT_ROWS:
            raise TooLarge(
                f"The cohort rule takes at most {MAX_COHORT_ROWS} descriptors in a request.", field="enrolled"
            )
    if rule.name == "cohort" or (explain and len(members.vectors) <= MAX_COHORT_ROWS):
        cohort = (builder or CohortBuilder()).cohort(members, card.metric)
        rows = cohort.affected_rows(approximate * (1 - DISTANCE_ROUNDING), approximate * (1 + DISTANCE_ROUNDING))
        conformal = cohort.conformal_score(rows, distances(members.vectors[rows], request.probe, card.metric))
    nearest = _nearest(approximate, members, request.probe, card.metric)
    runner_up = None
    if explain and nearest is not None:
        same = np.array([reg_no == nearest.reg_no for reg_no in members.reg_nos])
        approximate[same[members.owners]] = math.inf
        runner_up = _nearest(approximate, members, request.probe, card.metric)
    return Decision(nearest, runner_up, rule.max_distance(card, request.threshold), card.name, rule, conformal)


def _nearest(approximate: Vector, members: MemberList, probe: Vector, metric: Metric) -> Candidate | None:
    """The member with the least exact distance, computed for the rows whose approximate distance allows it."""
    least = approximate.min(initial=math.inf)
    if math.isinf(least):
        return None
    rows = np.flatnonzero(approximate <= least + DISTANCE_ROUNDING * max(1, least))
    exact = distances(members.vectors[rows], probe, metric)
    first = int(exact.argmin())
    member = int(members.owners[rows[first]])
    return Candidate(members.reg_nos[member], members.names[member], float(exact[first]), member in members.other_model)
