"""What is learnt from judgements, compared with plain counting; it is a pure function."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from face128.domain.decision_rule import Judgement, Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.gallery.trail.decisions import KeptDecision
from face128.gallery.trail.review_summary import MIN_BAND, Summary, summarise
from face128.gallery.trail.reviews import Review

RULE = Rule("cohort", 0.01, review_alpha=0.1)


def review(
    judgement: Judgement = "right",
    risk: float | None = 0.05,
    distance: float | None = 0.4,
    who: str = "ada",
    person: str | None = None,
    model: str = DLIB.name,
    rule: str = "cohort",
) -> Review:
    decision = KeptDecision("search", who, distance, risk, "look_again", rule, model)
    return Review(decision, judgement, person, "2026-11-30T12:00:00.000000Z", "desk")


def learnt(*judged: Review, rule: Rule = RULE) -> Summary:
    found = summarise(judged, rule)
    assert found is not None
    return found


def test_without_judgements_there_is_nothing() -> None:
    assert summarise([], RULE) is None


@pytest.mark.parametrize(("right", "count"), [(36, 40), (0, 7), (7, 7), (1, 2), (500, 1000)])
def test_the_interval_has_the_shares_that_would_not_surprise(right: int, count: int) -> None:
    """Wilson's: those from which the observed share is at most 1.96 standard deviations away."""
    found = learnt(*[review()] * right, *[review("wrong")] * (count - right)).all
    assert (found.right, found.count, found.estimate.share) == (right, count, right / count)
    possible = [
        share
        for share in (step / 100_000 for step in range(100_001))
        if abs(share - right / count) <= 1.959964 * math.sqrt(share * (1 - share) / count) + 1e-12
    ]
    assert found.estimate.low == pytest.approx(min(possible), abs=2e-5)
    assert found.estimate.high == pytest.approx(max(possible), abs=2e-5)


def test_bands_have_all_of_a_model_and_models_are_not_mixed() -> None:
    chance = random.Random(27)
    judged = [
        review(chance.choice(["right", "wrong"]), distance=chance.uniform(0.3, 0.6), model=model)  # type: ignore[arg-type]
        for model, count in ((DLIB.name, 23), (RETAIL.name, 4))
        for _ in range(count)
    ]
    chance.shuffle(judged)
    of_dlib, of_retail = sorted(learnt(*judged, review(distance=None)).models, key=lambda each: -len(each.bands))
    assert (of_dlib.model, of_retail.model) == (DLIB.name, RETAIL.name)
    assert len(of_dlib.bands) == 4
    for each in (of_dlib, of_retail):
        own = [one for one in judged if one.decision.model == each.model]
        assert sum(band.share.count for band in each.bands) == len(own)
        for band in each.bands:
            inside = [one for one in own if band.low <= (one.decision.distance or 0) <= band.high]
            assert band.share.right == sum(one.judgement == "right" for one in inside)
            assert band.share.count == len(inside) >= min(MIN_BAND, len(own))
        wrong = [one.decision.distance for one in own if one.judgement == "wrong"]
        assert each.nearest_wrong == min(wrong, default=None)  # type: ignore[type-var]
        nearer = [one for one in own if not wrong or (one.decision.distance or 0) < min(wrong)]  # type: ignore[type-var,operator]
        assert (each.all_right.share.count if each.all_right else 0) == len(nearer)


def test_at_equal_distances_a_wrong_one_comes_first() -> None:
    (model,) = learnt(review(distance=0.4), review("wrong", distance=0.4), review(distance=0.3)).models
    assert model.all_right is not None
    assert (model.all_right.high, model.nearest_wrong) == (0.3, 0.4)


def test_a_lower_review_alpha_is_the_least_that_misses_nobody() -> None:
    right = [review(risk=risk / 1000) for risk in (12, 15, 31)]
    wrong = [review("wrong", risk=risk / 1000) for risk in (20, 33, 40, 50, 60, 70)]
    found = learnt(*wrong, *right)
    assert found.lower_review_alpha is not None
    assert found.raise_review_alpha is None
    suggested = found.lower_review_alpha.review_alpha
    risks = [(each.decision.risk or 0, each.judgement) for each in (*right, *wrong)]
    assert all(risk <= suggested for risk, judgement in risks if judgement == "right")
    assert suggested == 0.031
    assert found.lower_review_alpha.spared.count == sum(risk > suggested for risk, _ in risks) == 6 - 1
    assert (found.lower_review_alpha.spared.right, found.lower_review_alpha.asked) == (0, 9)
    assert learnt(*wrong[1:], *right[:2], review(risk=0.0312)).lower_review_alpha.review_alpha == 0.032  # type: ignore[union-attr]
    assert learnt(*wrong[:4], *right).lower_review_alpha is None  # three would be spared: too few to say


def test_a_greater_one_is_suggested_where_the_last_ones_were_all_right() -> None:
    nearer = [review("wrong", risk=0.02 + number / 1000) for number in range(15)]
    last = [review(risk=0.05 + number / 1000) for number in range(5)]
    found = learnt(*last, *nearer)
    assert found.lower_review_alpha is None
    assert found.raise_review_alpha is not None
    assert (found.raise_review_alpha.from_risk, found.raise_review_alpha.share.count) == (0.05, 5)
    assert learnt(*last[:4], *nearer).raise_review_alpha is None


def test_what_would_be_asked_whatever_review_alpha_is_says_nothing_about_it() -> None:
    """Two people are as near, or the risk is not known, or below alpha."""
    near = [review(distance=0.3, risk=0.08, rule="threshold")] * 9
    found = learnt(*near, *[review(risk=None)] * 9, *[review(risk=0.001)] * 9)
    assert (found.lower_review_alpha, found.raise_review_alpha) == (None, None)
    assert learnt(*[review(distance=0.5, risk=0.08, rule="threshold")] * 9).raise_review_alpha is not None
    assert learnt(*[review(risk=0.08)] * 9, rule=Rule("threshold")).raise_review_alpha is None


def test_who_is_hardly_recognised_and_who_is_mistaken() -> None:
    chance = random.Random(28)
    people = ["ada", "ben", "carl", "dora"]
    judged = []
    for _ in range(60):
        judgement: Judgement = chance.choice(["right", "wrong", "person"])  # type: ignore[assignment]
        found, other = chance.sample(people, 2)
        judged.append(review(judgement, who=found, person=other if judgement == "person" else None))
    judged.append(review("person", who="ada", person=None))  # somebody who cannot be read
    recognised = Counter(
        each.person if each.judgement == "person" else each.decision.user_id
        for each in judged
        if each.judgement != "wrong"
    )
    pairs = Counter((each.decision.user_id, each.person) for each in judged if each.person)
    found = learnt(*judged)
    assert dict(found.hardly_recognised) == {who: n for who, n in recognised.items() if who and n >= 3}
    times = [n for _, n in found.hardly_recognised]
    assert times == sorted(times, reverse=True)
    assert {(a, b): n for a, b, n in found.mistaken} == {pair: n for pair, n in pairs.items() if n >= 2}
    assert found.named == sum(each.judgement == "person" for each in judged)
