"""Estimates from the enrolled descriptors alone how often strangers are accepted, and as whom; no photo is needed.

face128/matching/stranger_estimates.py has the mathematics, and says for whom it holds.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import Vector
from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard
from face128.jobs.audit.lenient_reader import ComparableDescriptors, UncheckedMembers
from face128.matching.conformal import Cohort
from face128.matching.stranger_estimates import Estimate, attainable_alpha, expected_fpir, hubs, threshold_for
from face128.matching.tails import members_needed, serving_tail

DLIB_THRESHOLDS = (0.38, 0.42, 0.45, 0.5, 0.55, 0.6)
WANTED_FPIRS = (0.01, 0.001)
MAX_LISTED_HUBS = 10
MIN_HUB_NEIGHBOURS = 3  # to which a hub is the nearest; on average each member is nearest to one other


@dataclass(frozen=True)
class Recommendation:
    """What to set so that at most a wanted share of strangers is accepted; None if there are too few members."""

    threshold: float | None
    threshold_needs: int
    """The number of members that a threshold takes."""
    alpha: float | None
    """For the cohort rule."""
    at_most: float | None
    """The share of strangers that this alpha accepts: p-values come in steps of 1 / (members + 1). None by the estimate
    (``tail``), which promises none."""
    alpha_needs: int
    tail: Tail | None


@dataclass(frozen=True)
class Hub:
    """A member who is near to many strangers. Each of a member's m descriptors counts 1/m."""

    member: RegNo
    name: str | None
    nearest_to: float
    """The number of members whose nearest other member this is."""
    within: float
    """The number of those that are within the threshold."""


@dataclass(frozen=True)
class StrangerRisk:
    """Of members whose descriptors may be compared: each in turn is the stranger who meets all others."""

    card: ModelCard
    member_count: int
    threshold: float
    expected_fpir: dict[float, Estimate]
    """The share of strangers for whom some member is returned, by threshold."""
    recommendations: dict[float, Recommendation]
    """By the wanted share."""
    hubs: list[Hub]
    nearest_distances: Vector
    """(rows,) the distance from each descriptor to the nearest other member; infinite where there is no distance."""
    weights: Vector
    """(rows,) one divided by the number of descriptors of the row's member."""

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON of audit and calibrate; rates are shares, 0..1."""
        return {
            "model": self.card.name,
            "members": self.member_count,
            "expected_fpir": [{"threshold": t, **asdict(estimate)} for t, estimate in self.expected_fpir.items()],
            "wanted_fpir": [{"fpir": share, **asdict(advice)} for share, advice in self.recommendations.items()],
            "doorways": [asdict(hub) for hub in self.hubs],
        }


def stranger_risks(members: UncheckedMembers, threshold: float | None = None) -> list[StrangerRisk]:
    """One for each set of comparable models with at least two members; ``threshold`` instead of the models' own."""
    return [_stranger_risk(group, members, threshold) for group in members.groups if len(set(group.owners)) > 1]


def _stranger_risk(group: ComparableDescriptors, members: UncheckedMembers, threshold: float | None) -> StrangerRisk:
    owners = np.unique(group.owners)  # in the order of the cohort's member ids
    limit = group.card.threshold if threshold is None or group.is_pairs else threshold
    cohort = Cohort.of(group.vectors, group.owners.astype(np.intp), group.card.metric)
    nearest_to, within = (hubs(cohort, most) * cohort.member_count for most in (math.inf, limit))
    most_attractive = np.argsort(-nearest_to, kind="stable")[:MAX_LISTED_HUBS]
    return StrangerRisk(
        group.card,
        cohort.member_count,
        limit,
        {each: expected_fpir(cohort, each) for each in sorted({*_usual_thresholds(group.card), limit})},
        {share: _recommend(cohort, share) for share in WANTED_FPIRS},
        [
            Hub(
                members.people[owners[member]],
                members.names[owners[member]],
                float(nearest_to[member]),
                float(within[member]),
            )
            for member in most_attractive.tolist()
            if nearest_to[member] >= MIN_HUB_NEIGHBOURS
        ],
        cohort.neighbour_distances[:, 0],
        cohort.weights,
    )


def _usual_thresholds(card: ModelCard) -> list[float]:
    """From the model's own to its cap."""
    if card.cohort_cap == DLIB_THRESHOLDS[-1]:
        return [*DLIB_THRESHOLDS, card.threshold]
    steps = np.linspace(card.threshold, card.cohort_cap, len(DLIB_THRESHOLDS)).round(3)
    return [float(step) for step in steps]


def _recommend(cohort: Cohort, share: float) -> Recommendation:
    rule = Rule("cohort", share)
    needed = members_needed(rule)
    tail = serving_tail(rule, cohort.member_count) if cohort.member_count >= needed else None
    return Recommendation(
        threshold_for(cohort, share),
        math.ceil(2 / share - 1e-9) - 1,  # threshold_for needs share * (members + 1) >= 2
        None if tail is None else share,
        attainable_alpha(cohort.member_count, share) if tail == "exact" else None,
        needed,
        tail,
    )
