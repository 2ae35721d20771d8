from __future__ import annotations

import math

import numpy as np
import pytest
from cohort_truth import binomial_tails, population
from hypothesis import given, settings
from hypothesis import strategies as st

from face128.domain.descriptors import distances
from face128.errors import TooFewMembers
from face128.matching.conformal import Cohort
from face128.matching.stranger_estimates import attainable_alpha, expected_fpir, hubs, threshold_for


def line(*places: float, people: list[int] | None = None) -> Cohort:
    """Members on a line, so that the test shows the distances."""
    return Cohort.of(np.array(places)[:, None], np.array(people or range(len(places))), "euclidean")


def test_the_expected_share_is_that_of_members_with_another_within_the_threshold() -> None:
    cohort = line(0, 1, 10, 11.5, 30)
    for threshold, share in ((0.9, 0), (1, 2 / 5), (1.5, 4 / 5), (18.5, 1)):
        found = expected_fpir(cohort, threshold)
        assert found.share == share
        assert 0 <= found.low <= share <= found.high <= 1
    three_of_one = line(0, 0.1, 0.2, 1.1, 9, people=[0, 0, 0, 1, 2])
    assert expected_fpir(three_of_one, 0.95).share == pytest.approx((1 / 3 + 1) / 3)


def test_one_member_alone_gives_no_estimate() -> None:
    for alone in (line(), line(3), line(3, 4, people=[5, 5])):
        with pytest.raises(TooFewMembers):
            expected_fpir(alone, 0.38)


@pytest.mark.parametrize("kind", ["cloud", "groups", "twins"])
def test_the_interval_holds_the_share_of_strangers_who_really_come_as_near(kind: str) -> None:
    """In 95 of 100 cohorts; it would be 86 if two members who look alike counted as two events."""
    random, inside = np.random.default_rng(1), 0
    for _ in range(200):
        persons = population(random, kind, 660)
        cohort = Cohort.of(persons[:60], np.arange(60), "euclidean")
        nearest = np.linalg.norm(persons[60:, None] - persons[:60], axis=2).min(axis=1)
        threshold = float(np.quantile(nearest, 0.1))
        found = expected_fpir(cohort, threshold)
        inside += found.low <= float((nearest <= threshold).mean()) <= found.high
    assert inside >= 0.92 * 200


@settings(max_examples=9, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["twins", "groups", "cloud"]), st.integers(9, 25), st.integers(2, 3))
def test_the_threshold_for_an_alpha_lets_no_more_strangers_in(seed: int, kind: str, members: int, k: int) -> None:
    random, trials, hits = np.random.default_rng(seed), 800, 0
    alpha = k / (members + 1)
    for _ in range(trials):
        *known, stranger = population(random, kind, members + 1)
        threshold = threshold_for(Cohort.of(np.array(known), np.arange(members), "euclidean"), alpha)
        assert threshold is not None
        hits += distances(np.array(known), stranger, "euclidean").min() <= threshold
    assert binomial_tails(trials, alpha, hits)[1] > 1e-7


def test_the_threshold_is_the_greatest_that_keeps_the_promise() -> None:
    cohort = line(0, 1, 10, 11.5, 30, 50, 80, 120, 170)
    assert threshold_for(cohort, 0.1) is None
    assert threshold_for(cohort, 0.2) == math.nextafter(1, 0)
    assert threshold_for(cohort, 0.4) == math.nextafter(1.5, 0)
    assert threshold_for(cohort, 0.6) == math.nextafter(18.5, 0)


def test_alphas_come_in_steps() -> None:
    assert attainable_alpha(199, 0.01) == 2 / 200
    assert attainable_alpha(150, 0.02) == 3 / 151
    assert attainable_alpha(99, 0.01) == 0.01
    assert attainable_alpha(98, 0.01) is None


def test_a_hub_is_the_member_who_is_nearest_to_many() -> None:
    spokes = np.vstack([np.zeros(6), 2 * np.eye(6), [[9, 9, 9, 9, 9, 9]]])
    cohort = Cohort.of(spokes, np.arange(8), "euclidean")
    shares = hubs(cohort)
    assert shares[0] == 6 / 8
    assert shares.sum() == 1
    assert hubs(cohort, 2.0)[0] == 6 / 8
    assert hubs(cohort, 1.9).sum() == 0
    twice = Cohort.of(spokes[[0, 0, 1, 2]], np.array([0, 0, 1, 2]), "euclidean")
    assert hubs(twice).tolist() == [2 / 3, pytest.approx(1 / 3), 0]
