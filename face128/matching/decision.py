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
from typing import Any, Self

import numpy as np

from face128.domain.decision_rule import THRESHOLD, Rule, Verdict
from face128.domain.descriptors import Metric, Vector, distances
from face128.domain.members import MatchRequest, MemberList, RegNo
from face128.domain.model_card import ModelCard
from face128.errors import InvalidRequest, Overloaded, TooLarge
from face128.events import stage
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import Cohort, CohortScore
from face128.matching.fast_distances import approximate_distances
from face128.matching.tails import require_enough_members, serving_tail
from face128.matching.templates import mean_members

# Far above the relative error of an approximate distance, about 1e-14 in any order of summation.
DISTANCE_ROUNDING = 1e-9

NEARLY_AS_NEAR = 0.85
"""A match is worth another look if the nearest is at least this share of the runner-up's distance away: among 750
members that showed a third of the wrong matches or more, and 5 of 100 right ones (docs/decision.md)."""
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
    cohort_score: CohortScore | None = None
    """None if not wanted, or if there are too few members."""
    review_distance: float = 0.0
    """The greatest distance that may be worth another look."""

    @classmethod
    def of(
        cls,
        nearest: Candidate | None,
        runner_up: Candidate | None,
        card: ModelCard,
        rule: Rule,
        requested_threshold: float | None,
        cohort_score: CohortScore | None,
    ) -> Self:
        limits = rule.max_distance(card, requested_threshold), rule.review_distance(card, requested_threshold)
        return cls(nearest, runner_up, limits[0], card.name, rule, cohort_score, limits[1])

    @property
    def matched(self) -> bool:
        return self.verdict == "yes"

    @property
    def verdict(self) -> Verdict:
        """look_again: refused or accepted by little. It is no match, and only a rule with a review_alpha answers it."""
        if self.nearest is None:
            return "no"
        risk = math.inf if self.cohort_score is None else self.cohort_score.stranger_risk
        near = self.nearest.distance <= self.threshold
        if near and (self.rule.name == "threshold" or risk <= self.rule.alpha):
            return "look_again" if self.rule.reviews and self._is_shared else "yes"
        in_band = self.rule.review_alpha is not None and risk <= self.rule.review_alpha
        return "look_again" if in_band and self.nearest.distance <= self.review_distance else "no"

    @property
    def _is_shared(self) -> bool:
        """Whether the runner-up is nearly as near: the face may be theirs."""
        if self.nearest is None or self.runner_up is None:
            return False
        return self.nearest.distance >= NEARLY_AS_NEAR * self.runner_up.distance

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

    def evidence(self) -> dict[str, Any]:
        """What explains the decision, without a name: the fields that /match and /match_face have in common."""
        evidence: dict[str, Any] = {
            "distance": self.distance,
            "threshold": self.threshold,
            "model": self.model,
            "margin": self.margin,
        }
        decision: dict[str, Any] = {}
        if self.rule.name == "cohort":
            decision = {"rule": "cohort", "alpha": self.rule.alpha}
        if (found := self.cohort_score) is not None:
            evidence |= {"score": found.score, "stranger_risk": found.stranger_risk}
            decision |= {"rule": self.rule.name, "tail": found.tail}
        if self.rule.reviews:
            decision |= {"rule": self.rule.name, "review_alpha": self.rule.review_alpha}
            evidence |= {"verdict": self.verdict}
        if decision:
            evidence |= {"decision": decision}
        return evidence

    def answer(self, *, explain: bool = False) -> dict[str, Any]:
        """The JSON answer of /match. It never identifies a nearest member who is not accepted, except by distance."""
        answer: dict[str, Any] = {"match": False}
        if self.nearest is not None and self.matched:
            answer = {"regNo": self.nearest.reg_no, "name": self.nearest.name}
        if explain:
            other = self.runner_up
            runner_up = other and {"regNo": other.reg_no, "name": other.name, "distance": other.distance}
            answer |= self.evidence() | {"runner_up": runner_up}
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

    ``explain`` adds the runner-up and, by either rule, the cohort score. ``builder`` limits how many cohorts are
    built at once. Raises InvalidRequest if the request has no ``enrolled``; TooFewMembers and TooLarge by the cohort
    rule; Overloaded if too many requests wait for a cohort.
    """
    members, card, rule = request.enrolled, request.card, request.rule
    if members is None:
        raise InvalidRequest("There is no list of enrolled members.", field="enrolled")
    if request.template == "mean":
        members = mean_members(members, card)
    approximate = approximate_distances(members.vectors, request.probe, card.metric)
    score = None
    if rule.name == "cohort":
        require_enough_members(int(np.count_nonzero(np.bincount(members.person_ids))), rule)
        if len(members.vectors) > MAX_COHORT_ROWS:
            raise TooLarge(
                f"The cohort rule takes at most {MAX_COHORT_ROWS} descriptors in a request.", field="enrolled"
            )
    if rule.name == "cohort" or (explain and len(members.vectors) <= MAX_COHORT_ROWS):
        cohort = (builder or CohortBuilder()).cohort(members, card.metric)
        tail = serving_tail(rule, cohort.member_count)
        rows = cohort.affected_rows(approximate * (1 - DISTANCE_ROUNDING), approximate * (1 + DISTANCE_ROUNDING), tail)
        exact = distances(members.vectors[rows], request.probe, card.metric)
        score = cohort.score(rows, exact, float(descriptor_lengths(request.probe[None], card.metric)[0]), tail)
    nearest = _nearest(approximate, members, request.probe, card.metric)
    runner_up = None
    if (explain or rule.reviews) and nearest is not None:
        same = np.array([reg_no == nearest.reg_no for reg_no in members.reg_nos])
        approximate[same[members.owners]] = math.inf
        runner_up = _nearest(approximate, members, request.probe, card.metric)
    return Decision.of(nearest, runner_up, card, rule, request.threshold, score)


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
