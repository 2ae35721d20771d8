"""Pairs of members who look like one person under two numbers, also beyond the threshold.

Two photos of one person are rarely within a strict threshold: at 0.38 a quarter of them. But the members say what is
near among them. Each member plays the stranger (matching/conformal.py); two who are each other's nearest, nearer than
one stranger in as many as there are members would come, are suspected. By dlib's network that finds 70 to 80 % of those
who are enrolled twice, with another photo (docs/decision.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric
from face128.matching.cohort_score import MIN_MEMBERS
from face128.matching.conformal import Cohort


@dataclass(frozen=True)
class SuspectedPair:
    first: int
    """An owner, as in ``owners``; less than ``second``."""
    second: int
    distance: float
    """Of their nearest descriptors."""
    stranger_risk: float
    """The estimated share of strangers who come as near."""


def suspected_pairs(
    vectors: npt.NDArray[Any], owners: npt.NDArray[np.integer[Any]], metric: Metric, cap: float
) -> list[SuspectedPair]:
    """The pairs of owners of (rows, dimension) descriptors, at most ``cap`` apart; the most suspicious first.

    Nobody where there are too few members for a score. Takes seconds for ten thousand members.
    """
    known = np.unique(owners)
    if len(known) < MIN_MEMBERS:
        return []
    cohort = Cohort.of(vectors, owners.astype(np.intp), metric)
    assert cohort.neighbour_ids is not None
    # A member with several descriptors has as many chances to come near somebody.
    chances = np.bincount(cohort.member_ids)
    nearest: dict[tuple[int, int], tuple[float, float]] = {}
    for row in np.flatnonzero(cohort.neighbour_distances[:, 0] <= cap).tolist():
        member, other = int(cohort.member_ids[row]), int(cohort.neighbour_ids[row, 0])
        risk = min(1.0, cohort.tail.stranger_risk(float(cohort.scores[row])) * int(chances[member]))
        found = risk, float(cohort.neighbour_distances[row, 0])
        nearest[member, other] = min(nearest.get((member, other), found), found)
    pairs = []
    for (member, other), (risk, distance) in nearest.items():
        if member < other and (other, member) in nearest:
            other_risk, other_distance = nearest[other, member]
            pair = SuspectedPair(
                int(known[member]), int(known[other]), min(distance, other_distance), max(risk, other_risk)
            )
            if pair.stranger_risk * len(known) <= 1:
                pairs.append(pair)
    return sorted(pairs, key=lambda pair: (pair.stranger_risk, pair.distance))
