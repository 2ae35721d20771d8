"""What an enrolled set says by itself, without a labelled photo: how near strangers come, and to whom.

The mathematics, and for whom it holds, stand in face128/matching/stranger_estimates.py.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face128.domain.descriptors import Vector
from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard
from face128.errors import BadRequest
from face128.jobs.audit.lenient_reader import Group, Suspects, read_suspects
from face128.matching.cohort import Cohort, members_needed
from face128.matching.stranger_estimates import Estimate, attainable_alpha, doorways, expected_fpir, threshold_for

THRESHOLDS = (0.38, 0.42, 0.45, 0.5, 0.55, 0.6)
WANTED = (0.01, 0.001)
LISTED = 10  # doorways
ATTRACTIVE = 3  # nearest to so many: each member is nearest to one other on average


@dataclass(frozen=True)
class Promise:
    """What to set for a share of strangers that may be let in; None where the members are too few to say."""

    threshold: float | None
    threshold_needs: int
    """So many members it takes."""
    alpha: float | None
    """For the cohort rule."""
    at_most: float | None
    """The share of strangers that this alpha lets in: p-values come in steps of 1 / (members + 1)."""
    alpha_needs: int


@dataclass(frozen=True)
class Doorway:
    """A member who attracts strangers. A member with m descriptors counts 1/m for each of them."""

    member: RegNo
    nearest_to: float
    """So many other members have nobody nearer than him."""
    within: float
    """So many of them are within the threshold."""


@dataclass(frozen=True)
class Crowd:
    """Members whose descriptors may be compared, each in turn the stranger who meets all others."""

    card: ModelCard
    members: int
    threshold: float
    expected: dict[float, Estimate]
    """The share of strangers for whom some member is returned, by threshold."""
    promises: dict[float, Promise]
    """By the share that is wanted."""
    doorways: list[Doorway]
    nearest: Vector
    """(rows,) how far from each descriptor the nearest other member is; infinite where there is no distance."""
    weights: Vector
    """(rows,) the share of each descriptor in its member."""

    def answer(self) -> dict[str, Any]:
        """Its part of the JSON of audit and calibrate; rates are shares, 0..1."""
        return {
            "model": self.card.name,
            "members": self.members,
            "expected_fpir": [{"threshold": t, **asdict(found)} for t, found in self.expected.items()],
            "wanted_fpir": [{"fpir": share, **asdict(promise)} for share, promise in self.promises.items()],
            "doorways": [asdict(doorway) for doorway in self.doorways],
        }


def crowds_of(suspects: Suspects, threshold: float | None = None) -> list[Crowd]:
    """One for each set of comparable models with two members at least; ``threshold`` instead of the models' own."""
    found = (_crowd(group, suspects.people, threshold) for group in suspects.groups)
    return [crowd for crowd in found if crowd is not None]


def read_crowds(file: Path) -> list[Crowd]:
    """The crowds of a list of members or a body of /match; what is wrong in it is left out (audit names it).

    Raises BadRequest where it is neither, or nobody in it can be compared with another.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadRequest(f"The file cannot be read: {error.strerror}.") from None
    crowds = crowds_of(read_suspects(data))
    if not crowds:
        raise BadRequest("The file has no two members who can be compared.")
    return crowds


def _crowd(group: Group, people: list[RegNo], threshold: float | None) -> Crowd | None:
    owners = np.unique(group.owners)  # in the order of Cohort's numbers
    if len(owners) < 2:
        return None
    limit = group.card.threshold if threshold is None else threshold
    cohort = Cohort.of(group.vectors, group.owners.astype(np.intp), group.card.metric)
    nearest_to, within = (doorways(cohort, most) * cohort.members for most in (math.inf, limit))
    attractive = np.argsort(-nearest_to, kind="stable")[:LISTED]
    return Crowd(
        group.card,
        cohort.members,
        limit,
        {each: expected_fpir(cohort, each) for each in sorted({*THRESHOLDS, group.card.threshold, limit})},
        {share: _promise(cohort, share) for share in WANTED},
        [
            Doorway(people[owners[member]], float(nearest_to[member]), float(within[member]))
            for member in attractive.tolist()
            if nearest_to[member] >= ATTRACTIVE
        ],
        cohort.near[:, 0],
        cohort.weights,
    )


def _promise(cohort: Cohort, share: float) -> Promise:
    at_most = attainable_alpha(cohort.members, share)
    return Promise(
        threshold_for(cohort, share),
        math.ceil(2 / share - 1e-9) - 1,
        None if at_most is None else share,
        at_most,
        members_needed(share),
    )
