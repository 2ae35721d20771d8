"""The decision: whose face is this? The nearest member, if near enough.

By the threshold rule the nearest descriptor with ``distance <= threshold`` wins, inclusive, as face_recognition
compares; of equal distances the first in the list. By the cohort rule he also has to be nearer than strangers come
among these very members (cohort.py), and the threshold is the model's cap. The distance is the one that
``descriptors.distances`` defines, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import Metric, Vector, distances
from face128.domain.members import Enrolled, MatchRequest, RegNo
from face128.errors import InvalidRequest, TooLarge
from face128.events import stage
from face128.matching.cohort import Standing, check_promise
from face128.matching.cohort_builder import MAX_COHORT_ROWS, CohortBuilder
from face128.matching.fast_distances import rough_distances

# Rounding moves a distance by some 1e-14 of itself, whatever the order of its sum; this is far more.
MARGIN = 1e-9


@dataclass(frozen=True)
class Near:
    """A member and the distance of his nearest descriptor."""

    reg_no: RegNo
    name: str | None
    distance: float
    foreign: bool = False
    """His descriptors were made by another model than the probe's."""


@dataclass(frozen=True)
class Decision:
    """Who is nearest, who comes next, and what that means. ``nearest`` is None where nobody is enrolled."""

    nearest: Near | None
    runner_up: Near | None
    """The nearest with another regNo: a member may stand several times. None where nobody asked, or there is none."""
    threshold: float
    model: str
    rule: Rule = THRESHOLD
    standing: Standing | None = None
    """None where nobody asked, or where the members are too few to say."""

    @property
    def matched(self) -> bool:
        if self.nearest is None or not self.nearest.distance <= self.threshold:
            return False
        if self.rule.name == "threshold":
            return True
        return self.standing is not None and self.standing.stranger_risk <= self.rule.alpha

    @property
    def distance(self) -> float | None:
        """The nearest one's."""
        return None if self.nearest is None else self.nearest.distance

    @property
    def margin(self) -> float | None:
        """How much further away the runner-up is."""
        if self.nearest is None or self.runner_up is None:
            return None
        return self.runner_up.distance - self.nearest.distance

    def answer(self, *, explain: bool = False) -> dict[str, Any]:
        """The answer of /match. Who is nearest but too far is told only as a distance."""
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
            if self.standing is not None:
                answer |= {"score": self.standing.score, "stranger_risk": self.standing.stranger_risk}
            if self.rule.name == "cohort":
                answer |= {"decision": {"rule": "cohort", "alpha": self.rule.alpha}}
            if self.nearest is not None and self.nearest.foreign:
                answer["mixed_models"] = True
        return answer


@stage("search")
def nearest(request: MatchRequest, builder: CohortBuilder | None = None, *, explain: bool = False) -> Decision:
    """Decide a request that brought its members; ``explain`` wants the runner-up, and the standing by either rule.

    ``builder`` bounds how many cohorts are built at once. Raises InvalidRequest if the request has no ``enrolled``;
    TooFewMembers and TooLarge by the cohort rule; Overloaded where too many requests wait for a cohort.
    """
    enrolled, card, rule = request.enrolled, request.card, request.rule
    if enrolled is None:
        raise InvalidRequest("There is no list of enrolled members.", field="enrolled")
    rough = rough_distances(enrolled.vectors, request.probe, card.metric)
    standing = None
    if rule.name == "cohort" or (explain and len(enrolled.vectors) <= MAX_COHORT_ROWS):
        standing = _standing(request, enrolled, rough, builder or CohortBuilder())
    best = _first_nearest(rough, enrolled, request.probe, card.metric)
    second = None
    if explain and best is not None:
        same = np.array([reg_no == best.reg_no for reg_no in enrolled.reg_nos])
        rough[same[enrolled.owners]] = math.inf
        second = _first_nearest(rough, enrolled, request.probe, card.metric)
    return Decision(best, second, rule.limit(card, request.threshold), card.name, rule, standing)


def _standing(request: MatchRequest, enrolled: Enrolled, rough: Vector, builder: CohortBuilder) -> Standing | None:
    vectors, metric = enrolled.vectors, request.card.metric
    if request.rule.name == "cohort":
        check_promise(int(np.count_nonzero(np.bincount(enrolled.people))), request.rule.alpha)
        if len(vectors) > MAX_COHORT_ROWS:
            raise TooLarge(
                f"The cohort rule takes at most {MAX_COHORT_ROWS} descriptors in a request.", field="enrolled"
            )
    cohort = builder.cohort(enrolled, metric)
    rows = cohort.involved(rough * (1 - MARGIN), rough * (1 + MARGIN))
    return cohort.standing(rows, distances(vectors[rows], request.probe, metric))


def _first_nearest(rough: Vector, enrolled: Enrolled, probe: Vector, metric: Metric) -> Near | None:
    """The member of the nearest row; ``rough`` says which rows could be it, exact distances which one is."""
    least = rough.min(initial=math.inf)
    if math.isinf(least):
        return None
    rows = np.flatnonzero(rough <= least + MARGIN * max(1, least))
    exact = distances(enrolled.vectors[rows], probe, metric)
    first = int(exact.argmin())
    member = enrolled.owners[rows[first]]
    foreign = int(member) in enrolled.foreign
    return Near(enrolled.reg_nos[member], enrolled.names[member], float(exact[first]), foreign)
