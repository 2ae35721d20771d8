"""What the members say of strangers, by themselves: no labelled photo is needed.

Each member in turn plays the stranger who meets all others; see cohort.py. All of it holds for strangers who resemble
the members, and for them on average over such sets of members.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face128.domain.descriptors import Vector
from face128.errors import TooFewMembers
from face128.matching.cohort import Cohort

NORMAL_95 = 1.959964
"""The normal distribution's 97.5 % quantile: 95 % lie within plus and minus so many deviations."""


@dataclass(frozen=True)
class Estimate:
    """A share, and the 95 % interval in which it lies."""

    share: float
    low: float
    high: float


def expected_fpir(cohort: Cohort, threshold: float) -> Estimate:
    """The share of strangers for whom some member lies within ``threshold``: that of members with another so near.

    The interval is Wilson's (J. Am. Stat. Assoc. 22, 1927) for half as many members: two who look alike are one event,
    counted twice. Raises TooFewMembers where nobody meets another.
    """
    if cohort.members < 2:
        raise TooFewMembers(members=cohort.members, members_needed=2)
    share = float(cohort.weights[cohort.near[:, 0] <= threshold].sum()) / cohort.members
    trials = cohort.members / 2
    square = NORMAL_95**2 / trials
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def threshold_for(cohort: Cohort, alpha: float) -> float | None:
    """The greatest threshold that lets in at most ``alpha`` of strangers; None where the members are too few to say.

    The cohort rule's promise with the distance for a score: a stranger and he whom he resembles count among the
    members + 1, so that ``alpha * (members + 1) - 2`` members may have another one within the threshold.
    """
    allowed = math.floor(alpha * (cohort.members + 1) + 1e-9) - 2
    if allowed < 0:
        return None
    order = np.argsort(cohort.near[:, 0], kind="stable")
    within = np.round(np.cumsum(cohort.weights[order]), 9)
    beyond = order[within > allowed]
    return math.nextafter(float(cohort.near[beyond[0], 0]), 0.0)


def attainable_alpha(members: int, alpha: float) -> float | None:
    """The share of strangers that the cohort rule lets in when ``alpha`` is asked for; None where too few are enrolled.

    p-values are multiples of 1 / (members + 1), and this is the greatest of them that is no more than ``alpha``.
    """
    steps = math.floor(alpha * (members + 1) + 1e-9)
    return steps / (members + 1) if steps else None


def doorways(cohort: Cohort, threshold: float = math.inf) -> Vector:
    """For each member, the share of strangers who are taken for him: whose nearest he is, within ``threshold``.

    (members,), in the numbers of ``cohort.people``. Evenly shared it would be at most 1 / members for everybody; a
    member with many times that has a face, or a bad photo, that attracts strangers.
    """
    opened = cohort.near[:, 0] <= threshold
    counts = np.bincount(cohort.who[opened, 0], weights=cohort.weights[opened], minlength=cohort.members)
    return np.asarray(counts / cohort.members)
