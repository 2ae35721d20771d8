"""The cohort rule: accept a face only if strangers rarely come as near, judged by the members' distances to each other.

A face has a score (cohort_score.py): the lower, the more it looks like one member and nobody else. What a score is
worth, the members say: they are strangers to each other.

If the probe x is a stranger like the members, then x and the n members are n + 1 exchangeable persons: each could as
well have been the probe. So let x join the cohort, and score every member i against all others, including x:

    p = (1 + #{i: s_i <= s}) / (n + 1)        P(p <= alpha) <= alpha        for a stranger

This is a full conformal p-value (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005, chapter 2; for
outliers: Bates, Candès, Lei, Romano, Sesia, Annals of Statistics 51, 2023). x has to join: two people who look alike
both have low scores. Without x only the probe's score would be low, and at the smallest p the error could be twice
alpha. The price of the exact bound: the member whom x resembles often counts as one of the s_i. Each descriptor of a
member with m descriptors counts 1/m (Lee, Barber, Willett, arXiv:2306.06342); the bound is exact if every member has
one descriptor. Where there are few members for alpha, a law fitted to the s_i without x estimates p (tails.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from face128.domain.decision_rule import Tail
from face128.domain.descriptors import Matrix, Metric, Vector
from face128.matching.cohort_score import COHORT_SIZE, MIN_MEMBERS, cohort_scores, descriptor_lengths
from face128.matching.fast_distances import Indices, nearest_other_members
from face128.matching.tails import MIN_ESTIMATE_MEMBERS, GumbelTail

MAX_SCANNED_ROWS = 4000
"""Above this, checking all rows of a large gallery is faster than checking selected ones."""
SPARE_ROWS = 50
"""Additional rows in ``lowest_rows``, for those whose score changes when the probe joins."""
SCORE_ROUNDING = 1e-9
"""Above the relative rounding error of a score."""


@dataclass(frozen=True)
class CohortScore:
    score: float
    stranger_risk: float
    """The share of strangers who come as near: at most this by the exact tail, about this by the estimate."""
    tail: Tail
    sampled: bool = False
    """Whether the estimate is that of a sample of the members, in a large gallery."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """The members as strangers to each other: what is kept of a list between probes. Immutable."""

    member_ids: Indices
    """(rows,) the member of each descriptor: 0 to members - 1."""
    neighbour_distances: Vector
    """(rows, COHORT_SIZE + 1) from each descriptor to the nearest other members, ascending."""
    lengths: Vector
    """(rows,) of the descriptors, as ``cohort_score.descriptor_lengths``."""
    neighbour_ids: Indices | None = None
    """(rows, COHORT_SIZE + 1) the ids of these members, where they are kept: no score needs them."""
    asking: tuple[Vector, Vector] | None = None
    """The scores that the estimate's law is of, and what each counts (asking_photos.py); None: those of the rows."""

    @classmethod
    def of(cls, vectors: Matrix, member_ids: Indices, metric: Metric) -> Self:
        """The cohort of (rows, dimension) descriptors; equal numbers in ``member_ids`` mean the same member."""
        _, member_ids = np.unique(member_ids, return_inverse=True)
        nearest, neighbour_ids = nearest_other_members(vectors, member_ids, metric, COHORT_SIZE + 1)
        return cls(member_ids, nearest, descriptor_lengths(vectors, metric), neighbour_ids)

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
        return cohort_scores(self.neighbour_distances, self.lengths, self.member_count)

    @cached_property
    def tail(self) -> GumbelTail:
        """The estimate's law: its two numbers."""
        return GumbelTail.of(*(self.asking or (self.scores, self.weights)))

    @cached_property
    def _sufficient_rows(self) -> int:
        """Any so many rows belong to at least COHORT_SIZE + 1 members."""
        return (COHORT_SIZE + 1) * int(np.bincount(self.member_ids).max(initial=0))

    def affected_rows(self, least: Vector, most: Vector, tail: Tail) -> Indices:
        """The rows that ``score`` needs: possible neighbours of the probe, and by the exact tail rows that it may be
        near to.

        Row i is between ``least[i]`` and ``most[i]`` away from the probe; both are (rows,).
        """
        last = min(self._sufficient_rows, len(most)) - 1
        radius = np.partition(most, last)[last] if len(most) else 0
        radius = radius if radius < math.inf else math.inf  # NaN: all
        radii = np.maximum(self.neighbour_distances[:, -1], radius) if tail == "exact" else radius
        return np.flatnonzero((least <= radii) & np.isfinite(least))

    def probe_score(self, rows: Indices, distances: Vector, length: float, beyond: float = math.inf) -> float | None:
        """A probe's score from its nearest rows, if all others are ``beyond`` away.

        None if it takes more rows, or if the probe has no score.
        """
        nearest = self._nearest_distances(rows, distances)
        own_score = float(cohort_scores(nearest[None], np.array([length]), self.member_count)[0])
        return own_score if nearest[-1] < beyond and own_score < math.inf else None

    def rows_to_rescore(self, own_score: float, beyond: float) -> Indices | None:
        """The rows that the exact tail needs besides the probe's nearest, given its score; None if too many.

        All but its nearest rows are at least ``beyond`` away. The score of any other row stays above ``own_score``: it
        only falls so far if the probe comes within ``own_score`` times what the row's score then divides by, which is
        less than ``beyond``.
        """
        wanted = self.scores <= own_score
        if own_score:
            wanted |= self._joined_scales >= beyond / (own_score * (1 + SCORE_ROUNDING))
        return np.flatnonzero(wanted) if np.count_nonzero(wanted) <= MAX_SCANNED_ROWS else None

    def lowest_rows(self, alpha: float) -> Indices | None:
        """The rows with the lowest scores: those that ``alpha`` accepts and SPARE_ROWS more; None if too many."""
        rows, weights = self._lowest_scores
        count = int(np.searchsorted(weights, alpha * (self.member_count + 1))) + SPARE_ROWS
        return rows[:count] if count <= MAX_SCANNED_ROWS else None

    def min_stranger_risk(self, own_score: float, rows: Indices, least: Vector) -> float:
        """Lower bound of stranger_risk: of rows at least ``least`` away, counts those that certainly score no more."""
        counted = (least >= self.neighbour_distances[rows, -1]) & (self.scores[rows] <= own_score)
        return (1 + float(self.weights[rows[counted]].sum()) - SCORE_ROUNDING) / (self.member_count + 1)

    @cached_property
    def _lowest_scores(self) -> tuple[Indices, Vector]:
        """The MAX_SCANNED_ROWS rows with the lowest scores, ascending, and their cumulative weights."""
        rows = np.arange(len(self.scores))
        if len(rows) > MAX_SCANNED_ROWS:  # to sort all takes ten times as long, after each change of a gallery
            rows = np.argpartition(self.scores, MAX_SCANNED_ROWS)[:MAX_SCANNED_ROWS]
        rows = rows[np.argsort(self.scores[rows], kind="stable")]
        return rows, self.weights[rows].cumsum()

    @cached_property
    def _joined_scales(self) -> Vector:
        """(rows,) what each row's score divides by if the probe is its nearest."""
        # With the probe at a distance of 1 the score is one divided by it.
        joined = np.column_stack([np.ones(len(self.lengths)), self.neighbour_distances[:, :-1]])
        with np.errstate(divide="ignore"):
            scales = 1 / cohort_scores(joined, self.lengths, self.member_count)
        # A row that lacks a neighbour has no score until the probe joins: infinity includes it always.
        scales[~np.isfinite(self.neighbour_distances[:, -1])] = math.inf
        return np.asarray(scales)

    def _nearest_distances(self, rows: Indices, distances: Vector) -> Vector:
        """(COHORT_SIZE + 1,) the distances of a probe's nearest members, given its distances to these rows."""
        order = np.argsort(distances, kind="stable")
        _, first = np.unique(self.member_ids[rows][order], return_index=True)
        nearest = np.full(COHORT_SIZE + 1, math.inf)
        nearest[: len(first)] = np.sort(distances[order[first]])[: COHORT_SIZE + 1]
        return nearest

    def score(self, rows: Indices, distances: Vector, length: float, tail: Tail) -> CohortScore | None:
        """The score of a probe of this ``length`` with finite ``distances`` to ``rows``, and its stranger_risk.

        ``rows`` must include the nearest descriptor of each of the probe's COHORT_SIZE + 1 nearest members. By the
        exact tail, rows that are left out keep their scores, as if the probe were not among their own nearest. None if
        the probe has no score, or the members are too few for any.
        """
        own_score = self.probe_score(rows, distances, length)
        fewest = MIN_MEMBERS if tail == "exact" else MIN_ESTIMATE_MEMBERS
        if own_score is None or self.member_count < fewest:
            return None
        if tail == "estimate":
            return CohortScore(own_score, self.tail.stranger_risk(own_score), tail)
        joins = distances < self.neighbour_distances[rows, -1]
        joined = np.sort(np.column_stack([self.neighbour_distances[rows[joins]], distances[joins]]), axis=1)[:, :-1]
        all_scores = self.scores.copy()
        all_scores[rows[joins]] = cohort_scores(joined, self.lengths[rows[joins]], self.member_count)
        # Thirds do not sum to one: without rounding, the order of the list could decide.
        count = round(float(self.weights[all_scores <= own_score].sum()), 9)
        return CohortScore(own_score, (1 + count) / (self.member_count + 1), tail)
