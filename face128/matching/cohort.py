"""The cohort rule: how near a stranger comes, learnt from the members, who are strangers to each other.

Let ``d1 <= d2 <= ...`` be the distances of a face to the members (to the nearest descriptor of each). Its score is

    s = d1 / mean(d2 ... d6)

A member's own face is much nearer to him than to the next five: s is small. A stranger is about as far from the nearest
as from the next: s is near 1, also in a crowd that the network tells apart badly. (Why five: docs/decision.md.)

If the probe x is a stranger like the members, then he and the n members are n + 1 persons of whom each could as well
have been the one at the door. So let x join the crowd, and score every member i against all others, x among them:

    p = (1 + #{i: s_i <= s}) / (n + 1)        P(p <= alpha) <= alpha        for a stranger

This is a full conformal p-value (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005, chapter 2; for
outliers: Bates, Candès, Lei, Romano, Sesia, Annals of Statistics 51, 2023). That x joins matters: two who look alike
have low scores both. Without x only his would be low, and at the smallest p the error could be twice alpha; the price
for the exact bound is that he whom x resembles often counts as one of the s_i. A member of m descriptors counts 1/m for
each (Lee, Barber, Willett, arXiv:2306.06342); the bound is exact where everybody has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from face128.domain.descriptors import Block, Metric, Vector
from face128.errors import TooFewMembers
from face128.matching.fast_distances import Indices, nearest_others

NEXT = 5
"""Members after the nearest that make up the crowd of a face."""
FEWEST = NEXT + 2
"""With fewer members somebody lacks a crowd, and there is no score."""
FEW = 4000
"""Rows that are looked at one by one sooner than all of a large gallery."""
SPARE = 50
"""Rows that may leave the lowest as the probe joins their crowds."""
ROUNDING = 1e-9
"""More than what rounding moves a score, as a share of it."""


@dataclass(frozen=True)
class Standing:
    """How a probe stands out from the crowd."""

    score: float
    """0: the same picture; 1: no nearer to the nearest than to the next."""
    stranger_risk: float
    """The p-value: at most this share of strangers comes as near. 1 / (members + 1) at best."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """The members as strangers to each other: what remains to be known of a list when probes come. Immutable."""

    people: Indices
    """(rows,) whose each descriptor is: 0 to members - 1."""
    near: Vector
    """(rows, NEXT + 1) from each descriptor to the nearest other members, ascending."""
    who: Indices
    """(rows, NEXT + 1) which members these are."""

    @classmethod
    def of(cls, vectors: Block, people: Indices, metric: Metric) -> Self:
        """The cohort of the descriptors' rows; equal numbers in ``people`` mean the same member."""
        _, people = np.unique(people, return_inverse=True)
        return cls(people, *nearest_others(vectors, people, metric, NEXT + 1))

    @property
    def members(self) -> int:
        return int(self.people.max(initial=-1)) + 1

    @cached_property
    def weights(self) -> Vector:
        """(rows,) the share of each descriptor in its member: they sum to the number of members."""
        return np.asarray(1 / np.bincount(self.people)[self.people])

    @cached_property
    def scores(self) -> Vector:
        """(rows,) each descriptor's score against all other members."""
        return score(self.near)

    @cached_property
    def _enough(self) -> int:
        """So many rows are of NEXT + 1 members at least, whichever they are."""
        return (NEXT + 1) * int(np.bincount(self.people).max(initial=0))

    def involved(self, least: Vector, most: Vector) -> Indices:
        """The rows that ``standing`` wants to know of a probe, (rows,) each between ``least`` and ``most`` far away."""
        enough = min(self._enough, len(most)) - 1
        reach = np.partition(most, enough)[enough] if len(most) else 0
        wide = np.maximum(self.near[:, -1], reach if reach < math.inf else math.inf)
        return np.flatnonzero((least <= wide) & np.isfinite(least))

    def own_score(self, rows: Indices, distances: Vector, beyond: float) -> float | None:
        """The score of a probe whose nearest rows are these; all others are ``beyond`` away. None if it takes more."""
        near = self._near(rows, distances)
        return float(score(near)) if near[-1] < beyond else None

    def besides(self, own: float, beyond: float) -> Indices | None:
        """What else ``standing`` wants to know of a probe of this score, of which all but its nearest are so far away.

        None where it is more than FEW. A row that is not named here scores above the probe, and stays there: the probe
        would have to become its nearest, and to come nearer than its own score times the row's crowd, which is nearer
        than ``beyond``.
        """
        (by_score, scores), (by_crowd, crowds) = self._ascending
        low = int(np.searchsorted(scores, own, side="right"))
        wide = len(crowds) - int(np.searchsorted(crowds, beyond / (own * (1 + ROUNDING)), side="left")) if own else 0
        return np.union1d(by_score[:low], by_crowd[len(crowds) - wide :]) if low + wide <= FEW else None

    def lowest(self, alpha: float) -> Indices | None:
        """The rows of the lowest scores, of more members than ``alpha`` lets in; None where they are more than FEW."""
        by_score, _ = self._ascending[0]
        count = int(np.searchsorted(self._weight_below, alpha * (self.members + 1))) + SPARE
        return by_score[:count] if count <= FEW else None

    def risk_at_least(self, own: float, rows: Indices, least: Vector) -> float:
        """What stranger_risk is at least of a probe of this score, which is at least so far away from these rows.

        They count who score no more than the probe, and whose score stays as it is.
        """
        stay = (least >= self.near[rows, -1]) & (self.scores[rows] <= own)
        return (1 + float(self.weights[rows[stay]].sum()) - ROUNDING) / (self.members + 1)

    @cached_property
    def _ascending(self) -> tuple[tuple[Indices, Vector], tuple[Indices, Vector]]:
        """The rows in the order of their scores, and of the crowd that they would have were the probe their nearest."""
        # Who lacks a neighbour has no score until a probe is one: he is looked at whatever the probe.
        crowds = np.where(np.isfinite(self.near[:, -1]), self.near[:, :-1].mean(axis=-1), math.inf)
        by_score, by_crowd = (np.argsort(each, kind="stable") for each in (self.scores, crowds))
        return (by_score, self.scores[by_score]), (by_crowd, crowds[by_crowd])

    @cached_property
    def _weight_below(self) -> Vector:
        """(rows,) of the rows up to each, in the order of their scores."""
        return np.asarray(self.weights[self._ascending[0][0]].cumsum())

    def _near(self, rows: Indices, distances: Vector) -> Vector:
        """(NEXT + 1,) how far from a probe, which is at these distances from these rows, its nearest members are."""
        order = np.argsort(distances, kind="stable")
        _, nearest = np.unique(self.people[rows][order], return_index=True)
        near = np.full(NEXT + 1, math.inf)
        near[: len(nearest)] = np.sort(distances[order[nearest]])[: NEXT + 1]
        return near

    def standing(self, rows: Indices, distances: Vector) -> Standing | None:
        """How a probe stands that is at these finite distances from these rows; None with fewer than FEWEST members.

        The rows have to hold the nearest descriptor of each of the probe's NEXT + 1 nearest members. Those that are not
        named keep their score, as if the probe were not among their own nearest.
        """
        if self.members < FEWEST:
            return None
        own = float(score(self._near(rows, distances)))
        joins = distances < self.near[rows, -1]
        joined = np.sort(np.column_stack([self.near[rows[joins]], distances[joins]]), axis=1)[:, :-1]
        scores = self.scores.copy()
        scores[rows[joins]] = score(joined)
        # Thirds do not sum to one: without rounding, the order of the list could decide.
        count = round(float(self.weights[scores <= own].sum()), 9)
        return Standing(own, (1 + count) / (self.members + 1))


def score(near: Vector) -> Vector:
    """The scores of ascending distances (..., NEXT + 1): 0 to 1, and 1 where distances are infinite or all zero."""
    crowd = near[..., 1:].mean(axis=-1)
    with np.errstate(all="ignore"):
        return np.where((crowd > 0) & np.isfinite(crowd), near[..., 0] / crowd, 1.0)


def members_needed(alpha: float) -> int:
    """How many members it takes before 1 / (members + 1), the smallest p-value there is, comes down to ``alpha``."""
    # Of an alpha of 1e-310, 1 / alpha is infinite: no list is as long as 1e15.
    return max(FEWEST, math.ceil(min(1 / alpha, 1e15) - 1e-9) - 1)


def check_promise(members: int, alpha: float) -> None:
    """Raise TooFewMembers where ``members`` cannot promise ``alpha``."""
    needed = members_needed(alpha)
    if members < needed:
        raise TooFewMembers(
            f"{members} enrolled members cannot promise an alpha of {alpha:g}: it takes {needed}.",
            members=members,
            members_needed=needed,
        )
