"""What can be learnt from judgements of decisions: counts with intervals, and suggestions. It changes nothing.

The shares hold for decisions that were looked at again, which are the hard ones; not for all decisions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeVar

from face128.domain.decision_rule import Rule
from face128.domain.model_card import CARDS
from face128.gallery.trail.reviews import Review
from face128.matching.stranger_estimates import Estimate, with_interval

T = TypeVar("T")

MAX_BANDS = 4  # of distances, of a model: as many decisions in each
MIN_BAND = 5  # decisions: of fewer, the interval says nothing
HARDLY_RECOGNISED = 3  # times: then another photo of the person is suggested
MIN_MISTAKEN = 2  # times that one person was taken for another
MAX_LISTED_PEOPLE = 10
SHOWN_DIGITS = 2  # of a suggested review_alpha


@dataclass(frozen=True)
class Share:
    right: int
    count: int
    estimate: Estimate
    """Of the share that was right."""

    @classmethod
    def of(cls, some: Sequence[Review]) -> Share:
        right = sum(each.judgement == "right" for each in some)
        return cls(right, len(some), with_interval(right / len(some), len(some)))


@dataclass(frozen=True)
class Band:
    """The decisions with distances between two, both included."""

    low: float
    high: float
    share: Share


@dataclass(frozen=True)
class OfModel:
    """The distances of one model; those of two cannot be compared."""

    model: str
    bands: list[Band]
    all_right: Band | None
    """The nearest ones, up to the first that was wrong; None where the nearest of all was."""
    nearest_wrong: float | None


@dataclass(frozen=True)
class Lower:
    """With this review_alpha, these decisions would have been refused without another look, and none was right."""

    review_alpha: float
    spared: Share
    asked: int
    """Of so many in all."""


@dataclass(frozen=True)
class Raise:
    """Even of those with the greatest stranger_risk, from here on, all were right: beyond, nobody has looked."""

    from_risk: float
    share: Share


@dataclass(frozen=True)
class Summary:
    all: Share
    named: int
    """Of those that were wrong: for how many it is known who it was."""
    models: list[OfModel]
    lower_review_alpha: Lower | None
    raise_review_alpha: Raise | None
    hardly_recognised: list[tuple[str, int]]
    """People who were refused or nearly refused so many times, the most often first."""
    mistaken: list[tuple[str, str, int]]
    """Who was found, who it was, and how many times."""


def summarise(judged: Sequence[Review], rule: Rule) -> Summary | None:
    """``rule`` is the service's. None without judgements."""
    if not judged:
        return None
    people = [each.person if each.judgement == "person" else each.decision.user_id for each in judged]
    recognised = [who for each, who in zip(judged, people, strict=True) if who and each.judgement != "wrong"]
    pairs = [
        (each.decision.user_id, each.person)
        for each in judged
        if each.judgement == "person" and each.person and each.decision.user_id
    ]
    asked = sorted((each for each in judged if _for_its_risk(each, rule)), key=_risk)
    lower = _lower(asked)
    return Summary(
        Share.of(judged),
        sum(each.judgement == "person" for each in judged),
        _by_model(judged),
        lower,
        None if lower else _raise(asked),
        _frequent(Counter(recognised), HARDLY_RECOGNISED),
        [(found, actual, times) for (found, actual), times in _frequent(Counter(pairs), MIN_MISTAKEN)],
    )


def _by_model(judged: Sequence[Review]) -> list[OfModel]:
    measured = [each for each in judged if each.decision.distance is not None]
    measured.sort(key=lambda each: (each.decision.model, _distance(each), each.judgement == "right"))
    return [_of_model(model, list(own)) for model, own in groupby(measured, key=lambda each: each.decision.model)]


def _of_model(model: str, nearest_first: list[Review]) -> OfModel:
    count = max(1, min(MAX_BANDS, len(nearest_first) // MIN_BAND))
    ends = [len(nearest_first) * place // count for place in range(count + 1)]
    bands = [_band(nearest_first[start:end]) for start, end in pairwise(ends)]
    wrong = [place for place, each in enumerate(nearest_first) if each.judgement != "right"]
    before = nearest_first[: wrong[0]] if wrong else nearest_first
    nearest_wrong = _distance(nearest_first[wrong[0]]) if wrong else None
    return OfModel(model, bands, _band(before) if before else None, nearest_wrong)


def _band(nearest_first: Sequence[Review]) -> Band:
    return Band(_distance(nearest_first[0]), _distance(nearest_first[-1]), Share.of(nearest_first))


def _lower(by_risk: Sequence[Review]) -> Lower | None:
    right = [_risk(each) for each in by_risk if each.judgement == "right"]
    enough = _rounded_up(max(right)) if right else 1.0
    spared = [each for each in by_risk if _risk(each) > enough]
    if len(spared) < MIN_BAND:
        return None
    return Lower(enough, Share.of(spared), len(by_risk))


def _raise(by_risk: Sequence[Review]) -> Raise | None:
    greatest = by_risk[-max(MIN_BAND, len(by_risk) // MAX_BANDS) :]
    if len(greatest) < MIN_BAND or any(each.judgement != "right" for each in greatest):
        return None
    return Raise(_risk(greatest[0]), Share.of(greatest))


def _for_its_risk(review: Review, rule: Rule) -> bool:
    """Whether the decision asked for a look because of its stranger_risk; not because two people are as near."""
    decision = review.decision
    if decision.risk is None or not rule.alpha < decision.risk <= (rule.review_alpha or 0.0):
        return False
    card = CARDS.get(decision.model)
    return decision.rule != "threshold" or card is None or _distance(review) > card.threshold


def _rounded_up(share: float) -> float:
    digits = SHOWN_DIGITS - 1 - math.floor(math.log10(share))
    return float(math.ceil(round(share * 10**digits, 6)) / 10**digits)


def _distance(review: Review) -> float:
    return review.decision.distance or 0.0


def _risk(review: Review) -> float:
    return review.decision.risk or 0.0


def _frequent(counts: Counter[T], least: int) -> list[tuple[T, int]]:
    return [(which, times) for which, times in counts.most_common(MAX_LISTED_PEOPLE) if times >= least]
