from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cohort_truth import binomial_tails, cohort_score_by_definition, estimate_by_definition, population
from hypothesis import given, settings
from hypothesis import strategies as st

from face128.domain.decision_rule import Tail
from face128.domain.descriptors import Metric, distances
from face128.matching.cohort_score import CROWD_MEMBERS, MIN_MEMBERS, descriptor_lengths
from face128.matching.conformal import Cohort, CohortScore
from face128.matching.fast_distances import approximate_distances


def cohort_score(
    vectors: Any, people: Any, probe: Any, metric: Metric = "euclidean", tail: Tail = "exact"
) -> CohortScore | None:
    cohort = Cohort.of(vectors, np.asarray(people), metric)
    approximate = approximate_distances(vectors, probe, metric)
    rows = cohort.affected_rows(approximate * (1 - 1e-9), approximate * (1 + 1e-9), tail)
    return cohort.score(rows, distances(vectors[rows], probe, metric), length(probe, metric), tail)


def length(probe: Any, metric: Metric = "euclidean") -> float:
    return float(descriptor_lengths(probe[None], metric)[0])


TAILS: tuple[Tail, ...] = ("exact", "estimate")

# A coarse grid, so that ties and identical faces are common; and members with several descriptors.
grid = st.lists(
    st.lists(st.sampled_from([-0.3, -0.1, 0.0, 0.1, 0.2]), min_size=2, max_size=4).map(lambda row: [*row, 0, 0][:4]),
    min_size=9,
    max_size=24,
)


@given(grid, st.data())
def test_score_and_risk_are_those_of_the_definition_in_plain_loops(rows: list[list[float]], data: Any) -> None:
    probe, *vectors = np.array(rows)
    wanted = data.draw(st.integers(7, len(vectors)))
    people = [*range(wanted), *(data.draw(st.integers(0, wanted - 1)) for _ in vectors[wanted:])]
    people = data.draw(st.permutations(people))
    found = cohort_score(np.array(vectors), people, probe)
    score, risk, _ = cohort_score_by_definition(vectors, people, probe)
    if found is None:
        assert math.isinf(score)
        return
    assert (found.score, found.stranger_risk) == (pytest.approx(score, abs=1e-12), pytest.approx(risk, abs=1e-8))


@pytest.mark.parametrize("members", [CROWD_MEMBERS - 1, CROWD_MEMBERS])
def test_the_length_of_a_descriptor_counts_among_few_members_only(members: int) -> None:
    random = np.random.default_rng(members)
    vectors, probe = 1 + random.normal(size=(members, 4)), 1 + random.normal(size=4)
    people = list(range(members))
    score, exact, own_scores = cohort_score_by_definition(vectors, people, probe)
    risks: dict[Tail, float] = {"exact": exact, "estimate": estimate_by_definition(score, own_scores)}
    for tail, risk in risks.items():
        found = cohort_score(vectors, people, probe, tail=tail)
        assert found == CohortScore(pytest.approx(score, rel=1e-12), pytest.approx(risk, rel=1e-9), tail)


@given(
    st.integers(0, 2**32),
    st.integers(7, 40),
    st.sampled_from(["euclidean", "cosine"]),
    st.sampled_from(["exact", "estimate"]),
)
def test_the_order_of_the_list_changes_nothing(seed: int, members: int, metric: Metric, tail: Tail) -> None:
    random = np.random.default_rng(seed)
    people = np.concatenate([np.arange(members), random.integers(0, members, 12)])
    vectors, probe = random.normal(size=(len(people), 6)), random.normal(size=6)
    order, names = random.permutation(len(people)), random.permutation(members)
    assert cohort_score(vectors, people, probe, metric, tail) == cohort_score(
        vectors[order], names[people[order]], probe, metric, tail
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["twins", "groups", "cloud"]), st.integers(8, 25), st.integers(1, 2))
def test_of_strangers_like_the_members_exactly_alpha_are_let_in(seed: int, kind: str, members: int, k: int) -> None:
    """Without ties P(p <= k / (n + 1)) is k / (n + 1), no more and no less: both tails of the binomial are bounds."""
    random, trials = np.random.default_rng(seed), 800
    alpha = k / (members + 1)
    hits = 0
    for _ in range(trials):
        *enrolled, stranger = population(random, kind, members + 1)
        found = cohort_score(np.array(enrolled), np.arange(members), stranger)
        hits += found is not None and found.stranger_risk <= alpha
    assert min(binomial_tails(trials, alpha, hits)) > 1e-7


def test_only_the_affected_rows_matter() -> None:
    """They include isolated members who have the probe among their nearest, but are not among its nearest."""
    random = np.random.default_rng(8)
    people = np.concatenate([np.arange(70), random.integers(0, 70, 30)])
    beyond = 0
    for _ in range(50):
        vectors, probe = random.normal(size=(100, 2)) ** 3, random.normal(size=2)
        cohort, exact = Cohort.of(vectors, people, "euclidean"), distances(vectors, probe, "euclidean")
        own = length(probe)
        for tail in TAILS:
            rows = cohort.affected_rows(exact, exact, tail)
            assert cohort.score(rows, exact[rows], own, tail) == cohort.score(np.arange(100), exact, own, tail)
            if tail == "exact":
                beyond += len(rows) < 100 and exact[rows].max() > np.sort(exact)[len(rows) - 1]
    assert beyond


@pytest.mark.parametrize("few", [5, 40, 2000])
@pytest.mark.parametrize("nearest", [8, 25, 100])
def test_the_nearest_and_a_few_others_are_all_that_matters(
    nearest: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members in clouds and isolated ones; probes in a cloud, next to a member, and far from all."""
    monkeypatch.setattr("face128.matching.conformal.MAX_SCANNED_ROWS", few)
    random = np.random.default_rng(nearest)
    people = np.concatenate([np.arange(70), random.integers(0, 70, 30)])
    decided = rescored = 0
    for turn in range(300):
        vectors = random.normal(size=(100, 2)) ** random.choice([1, 3])
        vectors[turn % 100] = vectors[(turn + 1) % 100]
        probe = (random.normal(size=2), vectors[turn % 100] + random.normal(0, 0.01, 2), 9 * random.normal(size=2))[
            turn % 3
        ]
        cohort, exact = Cohort.of(vectors, people, "euclidean"), distances(vectors, probe, "euclidean")
        order = np.argsort(exact)
        rows, beyond = order[:nearest], math.inf if nearest == 100 else exact[order[nearest]]
        whole = cohort.score(np.arange(100), exact, length(probe), "exact")
        assert whole is not None
        own = cohort.probe_score(rows, exact[rows], length(probe), beyond)
        others = None if own is None else cohort.rows_to_rescore(own, beyond)
        for alpha in (0.02, 0.1, 0.5):
            if own is not None and (lowest := cohort.lowest_rows(alpha)) is not None:
                assert cohort.min_stranger_risk(own, lowest, exact[lowest]) <= whole.stranger_risk
        if own is None or others is None:
            continue
        assert own == whole.score
        decided += 1
        rescored += len(np.setdiff1d(others, rows)) > 0
        assert len(others) <= few
        rows = np.union1d(rows, others)
        assert cohort.score(rows, exact[rows], length(probe), "exact") == whole
    assert decided > 15
    assert rescored or few == 5 or nearest == 100


def test_the_nearest_are_not_enough_where_they_are_of_too_few_people() -> None:
    vectors = np.arange(20.0)[:, None]
    people = np.repeat(np.arange(10), 2)
    cohort, exact = Cohort.of(vectors, people, "euclidean"), distances(vectors, np.zeros(1), "euclidean")
    assert cohort.probe_score(np.arange(10), exact[:10], 1.0, 10.0) is None
    assert cohort.probe_score(np.arange(11), exact[:11], 1.0, 10.0) is None  # the next may be another's, and as near
    assert cohort.probe_score(np.arange(11), exact[:11], 1.0, 10.5) is not None


@pytest.mark.parametrize("alpha", [0.02, 0.2])
def test_the_lowest_scores_refuse_most_strangers_and_nobody_else(alpha: float) -> None:
    random = np.random.default_rng(5)
    people = np.concatenate([np.arange(300), random.integers(0, 300, 100)])
    vectors = random.normal(size=(400, 8))
    cohort, refused, strangers = Cohort.of(vectors, people, "euclidean"), 0, 0
    for turn in range(200):
        probe = random.normal(size=8) if turn % 2 else vectors[turn] + random.normal(0, 0.3, 8)
        exact = distances(vectors, probe, "euclidean")
        whole, lowest = cohort.score(np.arange(400), exact, length(probe), "exact"), cohort.lowest_rows(alpha)
        assert whole is not None
        assert lowest is not None
        sure = cohort.min_stranger_risk(whole.score, lowest, exact[lowest]) > alpha
        assert whole.stranger_risk > alpha or not sure
        refused, strangers = refused + sure, strangers + (whole.stranger_risk > alpha)
    assert strangers < 200
    assert refused > 0.9 * strangers


def test_a_members_several_descriptors_are_not_strangers_to_each_other() -> None:
    """Twenty pictures of everybody, all but the same: each is as much a stranger as with one picture."""
    random = np.random.default_rng(4)
    faces, probe = random.normal(size=(12, 16)), random.normal(size=16)
    pictures = faces.repeat(20, axis=0) + random.normal(0, 1e-9, (240, 16))
    one, many = cohort_score(faces, np.arange(12), probe), cohort_score(pictures, np.arange(12).repeat(20), probe)
    assert one is not None
    assert many is not None
    assert many.score == pytest.approx(one.score, abs=1e-7)
    assert many.stranger_risk == one.stranger_risk


def test_a_member_of_a_hundred_pictures_counts_once() -> None:
    """Two of nine look alike, so that their scores are low; the probe's is not. One of the two has many pictures."""
    faces = 10 * np.eye(9)
    faces[1] = faces[0] + 0.1
    people = np.array([0] * 100 + list(range(1, 9)))
    found = cohort_score(faces[people], people, np.array([51.0] + [50.0] * 8))
    assert found is not None
    assert found.score > 0.2
    assert found.stranger_risk == 3 / 10


def test_a_face_that_is_a_members_own_has_the_least_risk() -> None:
    vectors = np.random.default_rng(5).normal(size=(199, 128))
    found = cohort_score(vectors, np.arange(199), vectors[7])
    assert found == CohortScore(0.0, 2 / 200, "exact")  # 1 for the probe, 1 for the member whom it resembles that much


def test_there_is_no_score_where_all_faces_are_the_same_picture() -> None:
    for tail in TAILS:
        assert cohort_score(np.full((30, 4), 0.1), np.arange(30), np.full(4, 0.1), tail=tail) is None


def test_what_has_no_distance_has_no_score() -> None:
    vectors = np.random.default_rng(6).normal(size=(40, 4))
    vectors[3:] = 1e200
    for tail in TAILS:
        assert cohort_score(vectors, np.arange(40), vectors[0], tail=tail) is None
        assert cohort_score(vectors, np.arange(40), np.full(4, 1e200), tail=tail) is None


@pytest.mark.parametrize("members", range(MIN_MEMBERS))
def test_too_few_members_have_no_score(members: int) -> None:
    assert cohort_score(np.eye(9)[:members], np.arange(members), np.eye(9)[8]) is None
