from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face128.domain.descriptors import Metric, distance
from face128.errors import InvalidDescriptor
from face128.matching.fast_distances import approximate_distances, nearest_other_members


def brute_force(vectors: Any, member_ids: Any, metric: Metric, k: int) -> list[list[float]]:
    """Every pair, one at a time: the k least distances to other members, ascending."""
    found = []
    for a, mine in zip(vectors, member_ids, strict=True):
        least = dict.fromkeys(set(member_ids.tolist()) - {int(mine)}, float("inf"))
        for b, other in zip(vectors, member_ids.tolist(), strict=True):
            if other != mine:
                with suppress(InvalidDescriptor):
                    least[other] = min(least[other], distance(a, b, metric))
        found.append(([*sorted(least.values()), *[float("inf")] * k])[:k])
    return found


grid = st.lists(st.lists(st.sampled_from([-0.3, -0.1, 0.0, 0.1, 0.2]), min_size=3, max_size=3), min_size=1, max_size=14)


@given(grid, st.data(), st.sampled_from(["euclidean", "cosine"]), st.sampled_from([np.float64, np.float32]))
def test_the_nearest_others_are_those_of_a_loop_over_all_pairs(rows: Any, data: Any, metric: Metric, kind: Any) -> None:
    vectors = np.array(rows).astype(kind)
    labels = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    member_ids = np.unique(labels, return_inverse=True)[1]
    found_distances, found_ids = nearest_other_members(vectors, member_ids, metric, 3)
    np.testing.assert_allclose(found_distances, brute_force(vectors, member_ids, metric, 3), rtol=0, atol=1e-15)
    for row, others, neighbours in zip(range(len(rows)), found_distances, found_ids, strict=True):
        there = neighbours[np.isfinite(others)].tolist()
        assert member_ids[row] not in there
        assert len(set(there)) == len(there)


def test_numbers_that_overflow_have_no_neighbours_and_hide_nobody() -> None:
    vectors = np.array([[0.1, 0.0], [1e200, 1.0], [0.1, 0.5], [1e200, 1.0]])
    found_distances, found_ids = nearest_other_members(vectors, np.arange(4), "euclidean", 2)
    assert found_distances.tolist() == [[0.5, np.inf], [np.inf, np.inf], [0.5, np.inf], [np.inf, np.inf]]
    assert found_ids[[0, 2], 0].tolist() == [2, 0]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_block_boundary_changes_nothing(monkeypatch: pytest.MonkeyPatch, metric: Metric) -> None:
    random = np.random.default_rng(1)
    vectors, member_ids = random.normal(size=(300, 16)), random.permutation(np.arange(300) // 2)
    whole = nearest_other_members(vectors, member_ids, metric, 6)
    monkeypatch.setattr("face128.matching.fast_distances.BLOCK_PAIRS", 7 * 300)
    some = np.array([3, 299, 4])
    np.testing.assert_array_equal(nearest_other_members(vectors, member_ids, metric, 6)[0], whole[0])
    np.testing.assert_array_equal(nearest_other_members(vectors, member_ids, metric, 6, some)[1], whole[1][some])


def test_equal_descriptors_are_at_distance_zero_though_the_matrix_product_is_not() -> None:
    vectors = np.random.default_rng(2).normal(0, 0.1, (9, 128)).repeat(2, axis=0)
    found_distances, found_ids = nearest_other_members(vectors, np.arange(18), "euclidean", 2)
    assert found_distances[:, 0].tolist() == [0.0] * 18
    assert found_ids[:, 0].tolist() == [i ^ 1 for i in range(18)]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_approximate_distances_are_distances_and_infinite_where_there_is_none(metric: Metric) -> None:
    random = np.random.default_rng(3)
    vectors, probe = random.normal(size=(2500, 8)), random.normal(size=8)
    vectors[7], vectors[1030] = np.nan, 1e200 if metric == "euclidean" else 0
    approximate = approximate_distances(vectors, probe, metric)
    assert np.isinf(approximate[[7, 1030]]).all()
    for row in (0, 6, 8, 1023, 1024, 2499):
        assert approximate[row] == pytest.approx(distance(vectors[row], probe, metric), rel=1e-12)


def test_a_zero_descriptor_has_no_neighbours_by_cosine() -> None:
    found_distances, _ = nearest_other_members(
        np.array([[-0.3, -0.3, -0.3], [0.0, 0.0, 0.0]]), np.array([0, 1]), "cosine", 1
    )
    assert np.isinf(found_distances).all()
