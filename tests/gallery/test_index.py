"""FaissIndex and MilvusIndex: brute force in float64 finds the same after any changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import database_servers
import dlib_truth
import numpy as np
import pytest
from people import photo_descriptor, synthetic

from face128.domain.descriptors import Metric, distances
from face128.gallery.search.index import FaissIndex

KINDS = ("faiss", "milvus")
Make = Callable[[int, Metric], Any]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "faiss":
        return FaissIndex
    database_servers.start_milvus(f"{tmp_path}/milvus.db")
    from pymilvus import MilvusClient

    from face128.gallery.milvus.index import MilvusIndex

    client = MilvusClient(uri=f"{tmp_path}/milvus.db")
    return lambda dimension, metric: MilvusIndex(client, "face128_test", metric, dimension)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_brute_force_over_20000_agrees_on_the_top_5(make: Make, metric: Metric) -> None:
    people = synthetic(20_000)
    people[: len(dlib_truth.ONE_FACE_PHOTOS)] = [photo_descriptor(name) for name in dlib_truth.ONE_FACE_PHOTOS]
    index = make(128, metric)
    index.add(np.arange(20_000) + 7, people)
    assert len(index) == 20_000
    random = np.random.default_rng(3)
    for probe in people[::1000] + random.normal(0, 0.02, (20, 128)).astype(np.float32):
        exact = distances(people, probe, metric)
        best = np.argsort(exact)[:5]
        ids, found = index.search(probe, 5)
        assert ids.tolist() == (best + 7).tolist()
        np.testing.assert_allclose(found, exact[best], atol=1e-5)


def test_what_is_removed_is_never_found_and_its_place_is_taken_again(make: Make) -> None:
    people = synthetic(400)
    index = make(128, "euclidean")
    index.add(np.arange(200), people[:200])
    random = np.random.default_rng(4)
    stored = set(range(200))
    for start in range(200, 400, 40):
        gone = random.choice(sorted(stored), 50, replace=False)
        index.remove(gone)
        index.remove(gone[:3])  # removing them again is no error
        stored -= set(gone.tolist())
        index.add(np.arange(start, start + 40), people[start : start + 40])
        stored |= set(range(start, start + 40))
        assert len(index) == len(stored)
        for number in range(0, 400, 11):
            ids, found = index.search(people[number], 1000)
            assert sorted(ids.tolist()) == sorted(stored)
            assert (np.diff(found) >= 0).all()
            assert (found[0] < 1e-3) == (number in stored)


def test_what_is_added_again_is_replaced(make: Make) -> None:
    people = synthetic(3)
    index = make(128, "euclidean")
    index.add(np.array([1, 2]), people[:2])
    index.add(np.array([2]), people[2:])
    assert sorted(index.search(people[2], 5)[0].tolist()) == [1, 2]
    assert index.search(people[2], 1)[1][0] < 1e-3


def test_an_empty_index_and_a_probe_beyond_float32_find_nothing(make: Make) -> None:
    index = make(128, "euclidean")
    assert index.search(synthetic(1)[0], 5)[0].tolist() == []
    index.add(np.array([1]), synthetic(1))
    for number in (np.inf, np.nan):
        assert index.search(np.full(128, number, np.float32), 5)[0].tolist() == []
