"""ByteIndex: brute force in float64 finds the same, and where the byte index is not certain it says so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from people import Descriptor, at_distance, synthetic

from face128.domain.descriptors import Metric, distances
from face128.gallery.search.index import CLIP_RANGE, MAX_CODE, ByteIndex, FaissIndex

COUNT = 20_000


def index_of(vectors: Descriptor, metric: Metric = "euclidean") -> FaissIndex:
    index = FaissIndex(vectors.shape[1], metric)
    index.add(np.arange(len(vectors)), vectors)
    return index


def byte_search(vectors: Descriptor, query: Descriptor, k: int = 8) -> npt.NDArray[np.int64] | None:
    byte_index = ByteIndex(vectors.shape[1])
    byte_index.add(vectors)
    found = byte_index.search(query[None], k, vectors)
    return None if found is None else found[1]


def check(index: FaissIndex, vectors: Descriptor, probe: Descriptor, k: int, metric: Metric = "euclidean") -> None:
    """``vectors[i]`` is the descriptor with id i in the index; NaN if it has none."""
    exact = distances(vectors, probe, metric)
    best = np.argsort(exact)[:k]
    ids, found = index.search(probe, k)
    np.testing.assert_allclose(found, exact[best], atol=1e-5)
    np.testing.assert_allclose(exact[ids], exact[best], atol=1e-5)


@pytest.mark.parametrize(("dimension", "spread"), [(128, 0.12), (512, 0.044)])
def test_the_byte_index_is_certain_of_the_nearest_among_strangers(dimension: int, spread: float) -> None:
    random = np.random.default_rng(1)
    people = random.normal(0, spread, (COUNT, dimension)).astype(np.float32)
    for query in random.normal(0, spread, (5, dimension)).astype(np.float32):
        found = byte_search(people, query)
        assert found is not None
        assert found.tolist() == np.argsort(distances(people, query, "euclidean"))[:8].tolist()


def test_among_many_similar_faces_the_byte_index_is_not_certain_and_all_are_compared() -> None:
    random = np.random.default_rng(2)
    center = synthetic(1)[0]
    people = np.concatenate([synthetic(COUNT), center + random.normal(0, 1e-3, (3_000, 128)).astype(np.float32)])
    assert byte_search(people, center) is None
    index = index_of(people)
    for k in (8, 2_000):
        check(index, people, center, k)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_added_and_removed_faces_are_followed(metric: Metric) -> None:
    people = synthetic(COUNT + 2_000)
    index = index_of(people[:COUNT], metric)
    stored = np.full_like(people, np.nan)
    stored[:COUNT] = people[:COUNT]
    random = np.random.default_rng(3)
    for start in range(COUNT, COUNT + 2_000, 500):
        gone = random.choice(COUNT, 400, replace=False)
        index.remove(gone)
        stored[gone] = np.nan
        for number in gone[:10]:
            check(index, stored, people[number], 8, metric)
        index.add(np.arange(start, start + 500), people[start : start + 500])
        stored[start : start + 500] = people[start : start + 500]
        for probe in (people[start], at_distance(people[start + 499], 0.2), people[random.integers(COUNT)]):
            check(index, stored, probe, 8, metric)


def test_a_removed_face_leaves_nothing_of_its_descriptor() -> None:
    byte_index = ByteIndex(128)
    byte_index.add(synthetic(3))
    byte_index.clear(np.array([1]))
    codes = byte_index._codes()
    assert (codes[1] == codes[1, 0]).all()
    assert not (codes[0] == codes[0, 0]).all()


def test_a_face_that_is_rounded_away_from_a_probe_is_found() -> None:
    step = 2 * CLIP_RANGE / MAX_CODE / np.sqrt(128)
    random = np.random.default_rng(5)
    query = np.full(128, step / 2)  # where rounding changes nothing
    people = random.normal(0, 0.12, (COUNT, 128))
    people[7] = query + 0.55 * step  # 0.55 of the way, and rounded to the whole
    for number in range(100, 120):
        people[number] = query
        people[number, random.choice(128, 41, replace=False)] += step  # further, by a hundredth, and rounded to itself
    people, query = people.astype(np.float32), query.astype(np.float32)
    found = byte_search(people, query)
    assert found is not None
    assert found[0] == 7
    check(index_of(people), people, query, 8)


def test_numbers_beyond_all_steps_are_searched_as_well() -> None:
    people = synthetic(COUNT)
    people[5], people[6] = 0.9, -40
    people[7], people[8], people[9] = np.nan, np.inf, 3e38
    index = index_of(people)
    with np.errstate(all="ignore"):
        for probe in (people[5], people[5] - np.float32(0.02), people[6], people[100]):
            check(index, people, probe, 8)


def test_descriptors_of_another_size_agree_as_well() -> None:
    people = 30 * synthetic(COUNT)
    check(index_of(people), people, people[77] + np.float32(0.1), 8)
