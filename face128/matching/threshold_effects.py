"""What any threshold, or any alpha, would do among the enrolled members: from distances that were measured once.

Each photo of a member asks twice. As a stranger's, among all other members: who would be taken for somebody else
(stranger_estimates.py says for whom that holds). And as the member's own, where they have other photos: against those,
and against all other members. What was found is sorted, so an answer takes no more than a few binary searches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import Vector
from face128.matching.stranger_estimates import Estimate, share_of_strangers, with_interval
from face128.matching.tails import members_needed, serving_tail


@dataclass(frozen=True, eq=False)
class Curve:
    """How much weight is at most any limit. Infinite values are never within it."""

    values: Vector
    """Ascending."""
    weights: Vector
    total: float
    """The weight of all values, infinite ones included."""

    @classmethod
    def of(cls, values: Vector, weights: Vector) -> Self:
        finite = np.isfinite(values)
        order = np.argsort(values[finite], kind="stable")
        return cls(values[finite][order], weights[finite][order], float(weights.sum()))

    def within(self, limit: float) -> float:
        """The weight of the values that are at most ``limit``."""
        # Thirds do not sum to one.
        return round(float(self.weights[: np.searchsorted(self.values, limit, side="right")].sum()), 9)

    def share(self, limit: float) -> float:
        return self.within(limit) / self.total if self.total else 0.0


def equal_shares(owners: npt.NDArray[np.integer]) -> Vector:
    """(rows,) the weights of rows: each of an owner's m rows counts 1/m."""
    _, numbers, counts = np.unique(owners, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[numbers])


@dataclass(frozen=True, eq=False)
class AskedPhotos:
    """What photos have found; an element of each array for a photo. By the name of the tail: how rarely a stranger
    comes as near (infinite beyond the model's cap).
    """

    people: npt.NDArray[np.integer]
    """The number of each photo's person: equal for all photos of one."""
    distances: Vector
    """To the nearest member, as far as they may be found."""
    risks: dict[Tail, Vector]

    def __len__(self) -> int:
        return len(self.people)

    @property
    def weights(self) -> Vector:
        return equal_shares(self.people)

    def least(self, values: Vector) -> Vector:
        """(people,) the least value of each person's photos."""
        people, numbers = np.unique(self.people, return_inverse=True)
        least = np.full(len(people), math.inf)
        np.minimum.at(least, numbers, values)
        return least


@dataclass(frozen=True)
class Effects:
    """Shares, 0..1."""

    members: Estimate
    """Of the members, of whom some photo would be taken for another member. If all have asked it is no estimate."""
    strangers: Estimate
    """Of the strangers who would be taken for some member."""
    refused: Estimate | None
    """Of the members' own photos; None where no member has a second one."""
    mistaken: Estimate | None
    """Of the members' own photos, those that would be taken for another member."""


@dataclass(frozen=True, eq=False)
class OwnPhotos(AskedPhotos):
    """Photos that have also asked among their own person's other photos: ``distances`` and ``risks`` are of the nearer
    of both.
    """

    own_distances: Vector
    right: npt.NDArray[np.bool_]
    """Whether their own person was the nearest."""


class _Curves:
    """By one rule: the values are distances, or stranger risks."""

    def __init__(self, strangers: AskedPhotos, values: Vector, own: OwnPhotos, own_values: Vector) -> None:
        least = strangers.least(values)
        self._people, self._photos = Curve.of(least, np.ones(len(least))), Curve.of(values, strangers.weights)
        self._right = Curve.of(np.where(own.right, own_values, math.inf), own.weights)
        self._wrong = Curve.of(np.where(own.right, math.inf, own_values), own.weights)

    def effects(self, limit: float, *, complete: bool) -> Effects:
        asked, with_several = round(self._people.total), round(self._right.total)
        members, wrong = self._people.share(limit), self._wrong.share(limit)
        refused = max(0.0, 1 - self._right.share(limit) - wrong)
        return Effects(
            Estimate(members, members, members) if complete else share_of_strangers(members, asked),
            share_of_strangers(self._photos.share(limit), asked),
            with_interval(refused, with_several) if with_several else None,
            with_interval(wrong, with_several) if with_several else None,
        )


class ThresholdEffects:
    """Immutable."""

    def __init__(self, members: int, strangers: AskedPhotos, own: OwnPhotos) -> None:
        """``strangers`` are the photos of all ``members``, or of a sample of them, that have asked as strangers'."""
        self.members = members
        self.asked = len(np.unique(strangers.people))
        self.own_people, self.own_photos = len(np.unique(own.people)), len(own)
        self.nearest_others = Curve.of(strangers.distances, strangers.weights)
        """How far the nearest other member is."""
        self.own_distances = Curve.of(own.own_distances, own.weights)
        """How far a member's own other photos are."""
        self._by_distance = _Curves(strangers, strangers.distances, own, own.distances)
        self._by_risk = {
            tail: _Curves(strangers, risks, own, own.risks[tail]) for tail, risks in strangers.risks.items()
        }

    @property
    def complete(self) -> bool:
        """Whether all members have asked: otherwise they are a sample."""
        return self.asked == self.members

    def by_threshold(self, threshold: float) -> Effects | None:
        """None where there is nobody to be taken for."""
        return self._by_distance.effects(threshold, complete=self.complete) if self.members > 1 else None

    def by_cohort(self, rule: Rule) -> Effects | None:
        """By the cohort rule with this alpha and tail; None where it takes more members (``members_needed``)."""
        if self.members < members_needed(rule):
            return None
        return self._by_risk[serving_tail(rule, self.members)].effects(rule.alpha, complete=self.complete)
