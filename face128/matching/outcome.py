"""What a search decides: the nearest member, and whether they are accepted; and the answer that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

from face128.domain.decision_rule import THRESHOLD, Rule, Verdict
from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard
from face128.matching.conformal import CohortScore

NEARLY_AS_NEAR = 0.85
"""A match is worth another look if the nearest is at least this share of the runner-up's distance away: among 750
members that showed a third of the wrong matches or more, and 5 of 100 right ones (docs/decision.md)."""


@dataclass(frozen=True)
class Candidate:
    """A member, and the distance of their nearest descriptor."""

    reg_no: RegNo
    name: str | None
    distance: float
    other_model: bool = False
    """Another model made the member's descriptor, which is comparable with the probe's."""
    place: int = field(default=0, compare=False)
    """Of equally near candidates the one with the lowest is taken: where they stand in a list, or a face's id."""


@dataclass(frozen=True)
class Decision:
    """The nearest member, and what decides whether they are accepted.

    Where a probe and the members have descriptors of several models, ``threshold`` and ``model`` are those of the space
    that decides (several_models.py), and the runner-up may be of another.
    """

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
    models: tuple[str, ...] = ()
    """Those that decided, where the request or the members name models."""
    runner_up_space: tuple[str, float] | None = None
    """The model and the threshold of the runner-up's space; None: as the nearest's."""

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
        if self.nearest is None or self._runner_up_distance is None:
            return False
        return self.nearest.distance >= NEARLY_AS_NEAR * self._runner_up_distance

    @property
    def _runner_up_distance(self) -> float | None:
        """The runner-up's distance; one of another space as the same multiple of this one's threshold."""
        if self.runner_up is None:
            return None
        if self.runner_up_space is None:
            return self.runner_up.distance
        return self.runner_up.distance * (self.threshold / self.runner_up_space[1])

    @property
    def distance(self) -> float | None:
        """The distance of the nearest member."""
        return None if self.nearest is None else self.nearest.distance

    @property
    def margin(self) -> float | None:
        """How much further away the runner-up is, in the distances of the space that decides."""
        if self.nearest is None or self._runner_up_distance is None:
            return None
        return self._runner_up_distance - self.nearest.distance

    def evidence(self) -> dict[str, Any]:
        """What explains the decision, without a name: the fields that /match and /match_face have in common."""
        evidence: dict[str, Any] = {
            "distance": self.distance,
            "threshold": self.threshold,
            "model": self.model,
            "margin": self.margin,
        }
        if self.models:
            evidence["models"] = list(self.models)
        decision: dict[str, Any] = {}
        if self.rule.name == "cohort":
            decision = {"rule": "cohort", "alpha": self.rule.alpha}
        if (found := self.cohort_score) is not None:
            evidence |= {"score": found.score, "stranger_risk": found.stranger_risk}
            decision |= {"rule": self.rule.name, "tail": found.tail} | ({"sampled": True} if found.sampled else {})
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
            if runner_up and self.runner_up_space is not None:
                runner_up |= dict(zip(("model", "threshold"), self.runner_up_space, strict=True))
            answer |= self.evidence() | {"runner_up": runner_up}
            if self.nearest is not None and self.nearest.other_model:
                answer["mixed_models"] = True
        return answer
