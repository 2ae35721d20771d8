"""What the members' distances to each other say about strangers: no labelled photos are needed.

Each member in turn plays the stranger who meets all others (see conformal.py). The estimates hold for strangers who
resemble the members, on average over such sets of members.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from face128.domain.descriptors import Vector
from face128.errors import TooFewMembers
from face128.matching.conformal import Cohort

NORMAL_QUANTILE_975 = 1.959964
"""The normal distribution's 97.5 % quantile: 95 % lie within plus and minus so many standard deviations."""


@dataclass(frozen=True)
class Estimate:
    """A share and its 95 % interval."""

    share: float
    low: float
    high: float


def expected_fpir(cohort: Cohort, threshold: float) -> Estimate:
    """The share of strangers with a member within ``threshold``, estimated by the share of members with another one.

    Raises TooFewMembers if there are fewer than two members.
    """
    if cohort.member_count < 2:
        raise TooFewMembers(members=cohort.member_count, members_needed=2)
    share = float(cohort.weights[cohort.neighbour_distances[:, 0] <= threshold].sum()) / cohort.member_count
    return share_of_strangers(share, cohort.member_count)


def share_of_strangers(share: float, people: int) -> Estimate:
    """The share with its interval, where each of ``people`` has played the stranger among the others.

    They are half as many trials: two people who look alike are one event, counted twice.
    """
    return with_interval(share, people / 2)


def with_interval(share: float, trials: float) -> Estimate:
    """The share of so many independent trials, with the interval of Wilson (J. Am. Stat. Assoc. 22, 1927)."""
    square = NORMAL_QUANTILE_975**2 / trials
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def threshold_for(cohort: Cohort, alpha: float) -> float | None:
    """The greatest threshold that accepts at most ``alpha`` of strangers; None if the members are too few.

    The cohort rule's bound with the distance as the score: a stranger and the member they resemble are two of the
    members + 1, so ``alpha * (members + 1) - 2`` members may have another one within the threshold.
    """
    allowed = math.floor(alpha * (cohort.member_count + 1) + 1e-9) - 2
    if allowed < 0:
        return None
    order = np.argsort(cohort.neighbour_distances[:, 0], kind="stable")
    within = np.round(np.cumsum(cohort.weights[order]), 9)
    beyond = order[within > allowed]
    return math.nextafter(float(cohort.neighbour_distances[beyond[0], 0]), 0.0)


def attainable_alpha(members: int, alpha: float) -> float | None:
    """The share of strangers that the cohort rule accepts if ``alpha`` is requested; None if the members are too few.

    p-values are multiples of 1 / (members + 1); this is the greatest that is at most ``alpha``.
    """
    steps = math.floor(alpha * (members + 1) + 1e-9)
    return steps / (members + 1) if steps else None


def hubs(cohort: Cohort, threshold: float = math.inf) -> Vector:
    """(members,) by member id, the share of strangers who would be taken for the member: nearest, and within threshold.

    Evenly spread, each share is at most 1 / members. A member with many times that is a hub: a face, or a bad photo,
    that many strangers are near to.
    """
    assert cohort.neighbour_ids is not None
    within = cohort.neighbour_distances[:, 0] <= threshold
    counts = np.bincount(cohort.neighbour_ids[within, 0], weights=cohort.weights[within], minlength=cohort.member_count)
    return np.asarray(counts / cohort.member_count)
