"""The cohort rule: accept a face only if strangers rarely come as near, judged by the members' distances to each other.

Let ``d1 <= d2 <= ...`` be the distances of a face to the members (to the nearest descriptor of each). Its score is

    s = d1 / mean(d2 ... d6)

A member's own photo is much nearer to that member than to the next five: s is small. A stranger is about as far from
the nearest member as from the next ones: s is near 1, even among members whom the network tells apart badly. (Why
five: docs/decision.md.)

If the probe x is a stranger like the members, then x and the n members are n + 1 exchangeable persons: each could as
well have been the probe. So let x join the cohort, and score every member i against all others, including x:

    p = (1 + #{i: s_i <= s}) / (n + 1)        P(p <= alpha) <= alpha        for a stranger

This is a full conformal p-value (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005, chapter 2; for
outliers: Bates, Candès, Lei, Romano, Sesia, Annals of Statistics 51, 2023). x has to join: two people who look alike
both have low scores. Without x only the probe's score would be low, and at the smallest p the error could be twice
alpha. The price of the exact bound: the member whom x resembles often counts as one of the s_i. Each descriptor of a
member with m descriptors counts 1/m (Lee, Barber, Willett, arXiv:2306.06342); the bound is exact if every member has
one descriptor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from face128.domain.descriptors import Matrix, Metric, Vector
from face128.errors import TooFewMembers
from face128.matching.fast_distances import Indices, nearest_other_members

COHORT_SIZE = 5
"""Members after the nearest whose mean distance the score divides by."""
MIN_MEMBERS = COHORT_SIZE + 2
"""With fewer members, a member has no COHORT_SIZE + 1 others, and there is no score."""
MAX_SCANNED_ROWS = 4000
"""Above this, checking all rows of a large gallery is faster than checking selected ones."""
SPARE_ROWS = 50
"""Additional rows in ``lowest_rows``, for those whose score changes when the probe joins."""
SCORE_ROUNDING = 1e-9
"""Above the relative rounding error of a score."""


@dataclass(frozen=True)
class ConformalScore:
    score: float
    """0: the same picture; 1: the nearest member is no nearer than the next ones."""
    stranger_risk: float
    """The conformal p-value: at most this share of strangers comes as near. At least 1 / (members + 1)."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """The members as strangers to each other: what is kept of a list between probes. Immutable."""

    member_ids: Indices
    """(rows,) the member of each descriptor: 0 to members - 1."""
    neighbour_distances: Vector
    """(rows, COHORT_SIZE + 1) from each descriptor to the nearest other members, ascending."""
    neighbour_ids: Indices
    """(rows, COHORT_SIZE + 1) the ids of these members."""

    @classmethod
    def of(cls, vectors: Matrix, member_ids: Indices, metric: Metric) -> Self:
        """The cohort of (rows, dimension) descriptors; equal numbers in ``member_ids`` mean the same member."""
        _, member_ids = np.unique(member_ids, return_inverse=True)
        return cls(member_ids, *nearest_other_members(vectors, member_ids, metric, COHORT_SIZE + 1))

    @property
    def member_count(self) -> int:
        return int(self.member_ids.max(initial=-1)) + 1

    @cached_property
    def weights(self) -> Vector:
        """(rows,) the share of each descriptor in its member; the sum is the number of members."""
        return np.asarray(1 / np.bincount(self.member_ids)[self.member_ids])

    @cached_property
    def scores(self) -> Vector:
        """(rows,) each descriptor's score against all other members."""
        return score(self.neighbour_distances)

    @cached_property
    def _sufficient_rows(self) -> int:
        """Any so many rows belong to at least COHORT_SIZE + 1 members."""
        return (COHORT_SIZE + 1) * int(np.bincount(self.member_ids).max(initial=0))

    def affected_rows(self, least: Vector, most: Vector) -> Indices:
        """The rows that ``conformal_score`` needs: possible neighbours of the probe, and rows that it may be near to.

        Row i is between ``least[i]`` and ``most[i]`` away from the probe; both are (rows,).
        """
        last = min(self._sufficient_rows, len(most)) - 1
        radius = np.partition(most, last)[last] if len(most) else 0
        radii = np.maximum(self.neighbour_distances[:, -1], radius if radius < math.inf else math.inf)  # NaN: all
        return np.flatnonzero((least <= radii) & np.isfinite(least))

    def probe_score(self, rows: Indices, distances: Vector, beyond: float) -> float | None:
        """A probe's score from its nearest rows, if all others are ``beyond`` away; None if it takes more rows."""
        nearest = self._nearest_distances(rows, distances)
        return float(score(nearest)) if nearest[-1] < beyond else None

    def rows_to_rescore(self, own_score: float, beyond: float) -> Indices | None:
        """The rows that ``conformal_score`` needs besides the probe's nearest, given its score; None if too many.

        All but its nearest rows are at least ``beyond`` away. The score of any other row stays above ``own_score``: it
        only falls so far if the probe comes within ``own_score`` times the mean of the row's nearest five, which is
        less than ``beyond``.
        """
        (by_score, scores, _), (by_mean, means) = self._by_score, self._by_joined_mean
        low = int(np.searchsorted(scores, own_score, side="right"))
        wide = len(means) - int(np.searchsorted(means, beyond / (own_score * (1 + SCORE_ROUNDING)))) if own_score else 0
        return np.union1d(by_score[:low], by_mean[len(means) - wide :]) if low + wide <= MAX_SCANNED_ROWS else None

    def lowest_rows(self, alpha: float) -> Indices | None:
        """The rows with the lowest scores: those that ``alpha`` accepts and SPARE_ROWS more; None if too many."""
        rows, _, weights = self._by_score
        count = int(np.searchsorted(weights, alpha * (self.member_count + 1))) + SPARE_ROWS
        return rows[:count] if count <= MAX_SCANNED_ROWS else None

    def min_stranger_risk(self, own_score: float, rows: Indices, least: Vector) -> float:
        """Lower bound of stranger_risk: of rows at least ``least`` away, counts those that certainly score no more."""
        counted = (least >= self.neighbour_distances[rows, -1]) & (self.scores[rows] <= own_score)
        return (1 + float(self.weights[rows[counted]].sum()) - SCORE_ROUNDING) / (self.member_count + 1)

    @cached_property
    def _by_score(self) -> tuple[Indices, Vector, Vector]:
        """In ascending order of their scores: the rows, these scores, and the cumulative weights."""
        rows = np.argsort(self.scores, kind="stable")
        return rows, self.scores[rows], self.weights[rows].cumsum()

    @cached_property
    def _by_joined_mean(self) -> tuple[Indices, Vector]:
        """The rows in ascending order of the mean that their score divides by if the probe is their nearest."""
        # A row that lacks a neighbour has no score until the probe joins: infinity includes it always.
        complete = np.isfinite(self.neighbour_distances[:, -1])
        means = np.where(complete, self.neighbour_distances[:, :-1].mean(axis=-1), math.inf)
        rows = np.argsort(means, kind="stable")
        return rows, means[rows]

    def _nearest_distances(self, rows: Indices, distances: Vector) -> Vector:
        """(COHORT_SIZE + 1,) the distances of a probe's nearest members, given its distances to these rows."""
        order = np.argsort(distances, kind="stable")
        _, first = np.unique(self.member_ids[rows][order], return_index=True)
        nearest = np.full(COHORT_SIZE + 1, math.inf)
        nearest[: len(first)] = np.sort(distances[order[first]])[: COHORT_SIZE + 1]
        return nearest

    def conformal_score(self, rows: Indices, distances: Vector) -> ConformalScore | None:
        """The score and p-value of a probe with finite ``distances`` to ``rows``; None with fewer than MIN_MEMBERS.

        ``rows`` must include the nearest descriptor of each of the probe's COHORT_SIZE + 1 nearest members. Rows that
        are left out keep their scores, as if the probe were not among their own nearest.
        """
        if self.member_count < MIN_MEMBERS:
            return None
        own_score = float(score(self._nearest_distances(rows, distances)))
        joins = distances < self.neighbour_distances[rows, -1]
        joined = np.sort(np.column_stack([self.neighbour_distances[rows[joins]], distances[joins]]), axis=1)[:, :-1]
        scores = self.scores.copy()
        scores[rows[joins]] = score(joined)
        # Thirds do not sum to one: without rounding, the order of the list could decide.
        count = round(float(self.weights[scores <= own_score].sum()), 9)
        return ConformalScore(own_score, (1 + count) / (self.member_count + 1))


def score(nearest: Vector) -> Vector:
    """The scores of ascending distances (..., COHORT_SIZE + 1): 0 to 1, and 1 if distances are infinite or all zero."""
    mean = nearest[..., 1:].mean(axis=-1)
    with np.errstate(all="ignore"):
        return np.where((mean > 0) & np.isfinite(mean), nearest[..., 0] / mean, 1.0)


def members_needed(alpha: float) -> int:
    """How many members it takes for 1 / (members + 1), the smallest possible p-value, to be at most ``alpha``."""
    # 1 / 1e-310 is infinite; no list has 1e15 members.
    return max(MIN_MEMBERS, math.ceil(min(1 / alpha, 1e15) - 1e-9) - 1)


def require_enough_members(members: int, alpha: float) -> None:
    """Raise TooFewMembers if the cohort rule cannot keep ``alpha`` with so many members."""
    needed = members_needed(alpha)
    if members < needed:
        raise TooFewMembers(
            f"{members} enrolled members cannot promise an alpha of {alpha:g}: it takes {needed}.",
            members=members,
            members_needed=needed,
        )
