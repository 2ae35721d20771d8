"""How near strangers come, to be drawn: the distance of each member to the nearest other one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from face128.matching.cohort_score import MIN_MEMBERS
from face128.matching.conformal import Cohort
from face128.matching.stranger_estimates import Estimate, expected_fpir, threshold_for

BIN_WIDTH = 0.02
"""Of a distance. Drawn on a screen, a bin is some pixels wide."""
MAX_BINS = 100
"""A threshold is at most 2."""


@dataclass(frozen=True)
class Crowd:
    people: int
    shares: tuple[float, ...]
    """Of strangers whose nearest member is in this bin: the first is from 0 to BIN_WIDTH, and so on."""
    within: Estimate
    """The share of strangers with a member within the threshold."""
    for_alpha: float | None
    """The greatest threshold that keeps all but alpha of strangers out; None where the members are too few for that."""

    @classmethod
    def of(cls, cohort: Cohort, threshold: float, alpha: float) -> Self | None:
        """None where there are too few members to say anything, as for the cohort score."""
        if cohort.member_count < MIN_MEMBERS:
            return None
        nearest = cohort.neighbour_distances[:, 0]
        there = nearest < MAX_BINS * BIN_WIDTH
        bins = (nearest[there] / BIN_WIDTH).astype(np.int64)
        shares = np.bincount(bins, weights=cohort.weights[there]) / cohort.member_count
        within = expected_fpir(cohort, threshold)
        return cls(cohort.member_count, tuple(shares.tolist()), within, threshold_for(cohort, alpha))
