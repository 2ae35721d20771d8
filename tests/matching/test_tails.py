"""stranger_risk by the estimate: its law, for whom it holds, and how many members each tail needs."""

from __future__ import annotations

import math
from typing import Any, cast, get_args

import numpy as np
import pytest
from cohort_truth import estimate_by_definition, population
from hypothesis import given
from hypothesis import strategies as st

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import distances
from face128.errors import TooFewMembers
from face128.matching.cohort_score import MIN_MEMBERS, descriptor_lengths
from face128.matching.conformal import Cohort, CohortScore
from face128.matching.tails import (
    MIN_ESTIMATE_MEMBERS,
    QUARTILES,
    STANDARD_QUARTILES,
    GumbelTail,
    members_for_bound,
    members_needed,
    require_enough_members,
    serving_tail,
)

scores = st.lists(st.tuples(st.floats(1e-6, 10), st.sampled_from([1.0, 0.5, 0.25])), min_size=4, max_size=60)


def law_of(own_scores: list[tuple[float, float]]) -> GumbelTail:
    columns = np.array(own_scores).T
    return GumbelTail.of(columns[0], columns[1])


def estimated(cohort: Cohort, vectors: Any, probe: Any) -> CohortScore:
    every = distances(vectors, probe, "euclidean")
    length = float(descriptor_lengths(probe[None], "euclidean")[0])
    found = cohort.score(np.arange(len(vectors)), every, length, "estimate")
    assert found is not None
    return found


@given(scores, st.floats(1e-6, 10))
def test_the_law_is_that_of_the_definition(own_scores: list[tuple[float, float]], score: float) -> None:
    law = law_of(own_scores)
    if math.isnan(law.scale) or law.scale < 1e-6:
        return
    assert law.stranger_risk(score) == pytest.approx(estimate_by_definition(score, own_scores), abs=1e-7)


@given(st.lists(st.floats(1e-6, 10), min_size=2, max_size=200))
def test_of_equal_weights_the_quartiles_are_those_of_all_scores_in_order(some: list[float]) -> None:
    law = GumbelTail.of(np.array(some), np.ones(len(some)))
    low, high = np.interp(QUARTILES, (np.arange(len(some)) + 0.5) / len(some), np.log(np.sort(some)))
    if law.scale > 1e-9:
        quartiles = [law.location + law.scale * standard for standard in STANDARD_QUARTILES]
        assert quartiles == pytest.approx([low, high], abs=1e-9)
    else:
        assert high - low < 1e-8


def test_a_law_with_these_quartiles_is_found_again() -> None:
    drawn = np.exp(-1.2 + 0.17 * np.log(np.random.default_rng(2).exponential(size=400_000)))
    law = GumbelTail.of(drawn, np.ones(len(drawn)))
    assert (law.location, law.scale) == (pytest.approx(-1.2, abs=0.002), pytest.approx(0.17, rel=0.01))
    share = float((drawn <= np.quantile(drawn, 0.01)).mean())
    assert law.stranger_risk(float(np.quantile(drawn, 0.01))) == pytest.approx(share, rel=0.1)


@given(scores, st.data())
def test_the_order_of_the_scores_changes_nothing(own_scores: list[tuple[float, float]], data: Any) -> None:
    np.testing.assert_equal(vars(law_of(own_scores)), vars(law_of(data.draw(st.permutations(own_scores)))))


@given(scores, st.lists(st.floats(0, 20), min_size=2, max_size=2))
def test_a_lower_score_is_never_a_greater_risk(own_scores: list[tuple[float, float]], pair: list[float]) -> None:
    lower, higher = (law_of(own_scores).stranger_risk(score) for score in sorted(pair))
    assert 0 <= lower <= higher <= 1


@pytest.mark.parametrize("own_scores", [[0.0] * 40, [0.0] * 11 + [0.9] * 29, [0.7] * 40, [0.7] * 20 + [math.inf] * 20])
def test_where_the_scores_show_no_law_everybody_may_be_a_stranger(own_scores: list[float]) -> None:
    law = GumbelTail.of(np.array(own_scores), np.ones(len(own_scores)))
    assert {law.stranger_risk(score) for score in (0.0, 0.1, 0.8)} == {1.0}


@given(st.integers(0, 2**32), st.integers(MIN_ESTIMATE_MEMBERS, 260))
def test_the_nearer_a_probe_is_to_a_member_the_less_of_a_stranger_it_is(seed: int, members: int) -> None:
    """All other distances of the probe stay as they are."""
    random = np.random.default_rng(seed)
    vectors, probe = random.normal(size=(members, 6)), random.normal(size=6)
    cohort, every = Cohort.of(vectors, np.arange(members), "euclidean"), distances(vectors, probe, "euclidean")
    nearest, risks = every.argmin(), []
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        moved = every.copy()
        moved[nearest] *= share
        found = cohort.score(np.arange(members), moved, 1.0, "estimate")
        assert found is not None
        risks.append(found.stranger_risk)
    assert risks == sorted(risks)
    assert risks[0] == 0


@pytest.mark.parametrize("members", [40, 120, 250])
def test_of_strangers_like_the_members_about_alpha_are_let_in(members: int) -> None:
    """No promise: within a factor of two, on average over galleries."""
    random, alpha, hits, galleries, strangers = np.random.default_rng(members), 0.05, 0, 15, 60
    for _ in range(galleries):
        everybody = random.normal(size=(members + strangers, 12))
        vectors = everybody[:members]
        cohort = Cohort.of(vectors, np.arange(members), "euclidean")
        hits += sum(estimated(cohort, vectors, probe).stranger_risk <= alpha for probe in everybody[members:])
    assert alpha / 2 <= hits / (galleries * strangers) <= 2 * alpha


def test_a_person_who_is_enrolled_twice_locks_nobody_out() -> None:
    """By counting, the two low scores of the pair take the places of those who may be accepted."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(200, 12))
    photos = vectors + random.normal(0, 0.1, vectors.shape)
    twice, people = np.concatenate([vectors, vectors[:1] + 1e-3]), np.arange(201)
    rule, accepted, tails = Rule("cohort", 0.01), {}, cast(tuple[Tail, ...], get_args(Tail))
    for tail in tails:
        for enrolled in (vectors, twice):
            cohort = Cohort.of(enrolled, people[: len(enrolled)], "euclidean")
            risks = []
            for probe in photos[1:]:
                every = distances(enrolled, probe, "euclidean")
                found = cohort.score(people[: len(enrolled)], every, float(np.linalg.norm(probe)), tail)
                risks.append(found is not None and found.stranger_risk <= rule.alpha)
            accepted[tail, len(enrolled)] = float(np.mean(risks))
    assert accepted["exact", 201] == 0
    assert accepted["estimate", 201] >= accepted["estimate", 200] - 0.03 > 0.9


def test_a_populations_twins_are_no_law() -> None:
    """Half of the scores are near zero by design: the estimate is careful, and lets in fewer than alpha."""
    random, hits = np.random.default_rng(3), 0
    for _ in range(10):
        *enrolled, stranger = population(random, "twins", 61)
        vectors = np.array(enrolled)
        hits += estimated(Cohort.of(vectors, np.arange(60), "euclidean"), vectors, stranger).stranger_risk <= 0.05
    assert hits <= 3


@pytest.mark.parametrize(
    ("tail", "alpha", "members", "serves"),
    [
        ("auto", 0.01, 29, "exact"),
        ("auto", 0.01, 30, "estimate"),
        ("auto", 0.01, 199, "estimate"),
        ("auto", 0.01, 200, "exact"),
        ("auto", 0.001, 1999, "estimate"),
        ("auto", 0.001, 2000, "exact"),
        ("auto", 0.05, 29, "exact"),
        ("auto", 0.05, 39, "estimate"),
        ("auto", 5e-324, 20_000, "estimate"),
        ("exact", 0.01, 40, "exact"),
        ("estimate", 0.01, 4000, "estimate"),
    ],
)
def test_the_number_of_members_chooses_the_tail_unless_it_is_named(
    tail: Any, alpha: float, members: int, serves: Tail
) -> None:
    assert serving_tail(Rule("cohort", alpha, tail), members) == serves


@given(st.integers(1, 100_000), st.floats(1e-5, 0.999))
def test_the_members_that_a_bound_takes_are_the_fewest_that_can_promise(beyond: int, alpha: float) -> None:
    for share in (alpha, 1 / (beyond + MIN_MEMBERS)):
        needed = members_for_bound(share)
        assert 1 / (needed + 1) <= share
        assert needed == MIN_MEMBERS or 1 / needed > share


@pytest.mark.parametrize(
    ("tail", "alpha", "needed"),
    [
        ("exact", 0.05, 19),
        ("exact", 0.01, 99),
        ("exact", 0.001, 999),
        ("estimate", 0.05, 30),
        ("estimate", 1e-300, 30),
        ("auto", 0.05, 19),
        ("auto", 0.01, 30),
        ("auto", 5e-324, 30),
    ],
)
def test_the_rule_says_how_many_members_it_takes(tail: Any, alpha: float, needed: int) -> None:
    rule = Rule("cohort", alpha, tail)
    assert members_needed(rule) == needed
    require_enough_members(needed, rule)
    with pytest.raises(TooFewMembers) as refused:
        require_enough_members(needed - 1, rule)
    assert refused.value.context == {"members": needed - 1, "members_needed": needed}


def test_an_alpha_next_to_nothing_is_never_promised() -> None:
    with pytest.raises(TooFewMembers):
        require_enough_members(20_000, Rule("cohort", 1e-300, "exact"))
