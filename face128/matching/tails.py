"""What a score is worth: ``stranger_risk``, the share of strangers who come as near. A bound, or an estimate.

exact: a conformal p-value (conformal.py). A bound that is proven, but never below 1 / (members + 1), and up to
2 / alpha members it refuses many members.

estimate: a Gumbel law for minima, fitted to the logarithms of the members' own scores, each against the others (the
probe does not join):

    P(log S <= x) = 1 - exp(-exp((x - location) / scale))

A stranger's nearest member is the nearest of many, and the law of the least of many is of this form (Fisher and
Tippett, Proc. Camb. Phil. Soc. 24, 1928). Two quartiles fix its two numbers: unlike moments they do not change when a
few scores are much too low, as those of a person who is enrolled twice are. It has no floor, but nothing is proven:
docs/decision.md has how far it was off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import Vector
from face128.errors import TooFewMembers
from face128.matching.cohort_score import MIN_MEMBERS

MIN_ESTIMATE_MEMBERS = 30
"""With fewer, a quartile is that of a handful of scores: at 20 members twice alpha was let in (docs/decision.md)."""
QUARTILES = (0.25, 0.75)
STANDARD_QUARTILES = tuple(math.log(-math.log1p(-quartile)) for quartile in QUARTILES)
"""Those of the law with location 0 and scale 1."""
MAX_EXPONENT = 700.0
"""Below the logarithm of the greatest double."""


@dataclass(frozen=True)
class GumbelTail:
    """The law of a stranger's log score; NaN where the members' scores do not show it."""

    location: float
    scale: float

    @classmethod
    def of(cls, scores: Vector, weights: Vector) -> Self:
        """The law whose quartiles are those of the ``scores``, each of which counts its weight. Order is irrelevant."""
        with np.errstate(all="ignore"):
            places, near = _of_equal_weights(scores) if (weights == 1).all() else _in_order(scores, weights)
            low, high = np.interp(QUARTILES, places, np.log(near)).tolist()
            scale = (high - low) / (STANDARD_QUARTILES[1] - STANDARD_QUARTILES[0])
        if not 0 < scale < math.inf:
            return cls(math.nan, math.nan)
        return cls(low - scale * STANDARD_QUARTILES[0], scale)

    def stranger_risk(self, score: float) -> float:
        """The estimated share of strangers with at most this score; 1 if nothing is known of them."""
        if math.isnan(self.scale):
            return 1.0
        if score <= 0:
            return 0.0
        exponent = (math.log(score) - self.location) / self.scale
        return -math.expm1(-math.exp(min(exponent, MAX_EXPONENT)))


def _in_order(scores: Vector, weights: Vector) -> tuple[Vector, Vector]:
    """The place of each score in the distribution, 0..1, and the scores, ascending."""
    order = np.lexsort((weights, scores))  # by weight as well: rounding depends on the order of a sum
    places = weights[order].cumsum() - weights[order] / 2
    return places / weights[order].sum(), scores[order]


def _of_equal_weights(scores: Vector) -> tuple[Vector, Vector]:
    """As ``_in_order``, only of the scores on both sides of each quartile: a tenth of the time of sorting all."""
    count = len(scores)
    below = [int(max(0.0, quartile * count - 0.5)) for quartile in QUARTILES]
    wanted = sorted({min(row + step, count - 1) for row in below for step in (0, 1)})
    return (np.array(wanted) + 0.5) / count, np.partition(scores, wanted)[wanted]


def serving_tail(rule: Rule, members: int) -> Tail:
    """The tail that answers among so many members."""
    if rule.tail != "auto":
        return rule.tail
    return "estimate" if MIN_ESTIMATE_MEMBERS <= members < 2 / rule.alpha else "exact"


def members_for_bound(alpha: float) -> int:
    """How many members it takes for 1 / (members + 1), the smallest possible p-value, to be at most ``alpha``."""
    # 1 / 1e-310 is infinite; no list has 1e15 members.
    return max(MIN_MEMBERS, math.ceil(min(1 / alpha, 1e15) - 1e-9) - 1)


def members_needed(rule: Rule) -> int:
    """How many members the cohort rule takes for its alpha."""
    needed: dict[str, int] = {"exact": members_for_bound(rule.alpha), "estimate": MIN_ESTIMATE_MEMBERS}
    return needed[rule.tail] if rule.tail != "auto" else min(needed.values())


def require_enough_members(members: int, rule: Rule) -> None:
    """Raise TooFewMembers if the cohort rule cannot answer among so many members."""
    needed = members_needed(rule)
    if members < needed:
        promise = "promise" if rule.tail == "exact" else "answer for"
        raise TooFewMembers(
            f"{members} enrolled members cannot {promise} an alpha of {rule.alpha:g}: it takes {needed}.",
            members=members,
            members_needed=needed,
        )
