"""The pairs within a distance are exactly those that float64 finds by comparing all."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest
from people import synthetic

from face128.domain.descriptors import Metric, distance, distances
from face128.gallery.transfer import integer_product
from face128.gallery.transfer import near_pairs as near_pairs_module
from face128.gallery.transfer.importing import COMPARING_NICE, _let_others_run_first
from face128.gallery.transfer.near_pairs import near_pairs, pair_count


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows make many blocks."""
    monkeypatch.setattr(near_pairs_module, "BLOCK_ROWS", 100)


CARDS = [(128, "euclidean", 0.38), (256, "cosine", 0.65), (512, "cosine", 0.45), (384, "euclidean", 0.66)]


def found(vectors: Any, first: int, metric: Metric, threshold: float) -> dict[tuple[int, int], float]:
    compared: list[int] = []
    pairs: list[tuple[int, int, float]] = []
    for block in near_pairs(vectors, first, metric, threshold, compared.append):
        pairs += zip(*(column.tolist() for column in block), strict=True)
    assert len({pair[:2] for pair in pairs}) == len(pairs)
    assert sum(compared) <= pair_count(len(vectors), first)
    return {pair[:2]: pair[2] for pair in pairs}


def brute_force(vectors: Any, first: int, metric: Metric, threshold: float) -> dict[tuple[int, int], float]:
    pairs = {}
    for one in range(first):
        apart = distances(vectors[one + 1 :], vectors[one].astype(np.float64), metric)
        pairs |= {(one, one + 1 + int(other)): float(apart[other]) for other in np.flatnonzero(apart <= threshold)}
    return pairs


def vectors_near_the_threshold(dimension: int, metric: Metric, threshold: float) -> Any:
    """Some hundred with a partner at about the threshold, and others that no descriptor looks like.

    They differ in few directions, so that their codes are as far apart as they are: rounding must not lose a pair.
    """
    random = np.random.default_rng(dimension)
    directions, _ = np.linalg.qr(random.normal(size=(dimension, 20)))
    base = random.normal(0, 20**-0.5, (250, 20))
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    radius = threshold if metric == "euclidean" else np.sqrt(2 * threshold)
    away = random.normal(0, 1, (240, 20))
    away *= radius * (1 + random.normal(0, 0.01, (240, 1))) / np.linalg.norm(away, axis=1, keepdims=True)
    vectors = random.permutation(np.concatenate([base, base[:240] + away]) @ directions.T).astype(np.float32)
    vectors[3] = np.nan
    vectors[5, 7] = np.inf
    vectors[9:14] = np.array([[0], [1e20], [1e20], [3e38], [-3e38]])
    vectors[15] = 1000 * vectors[14]
    return vectors


@pytest.mark.parametrize("by_onnx", [True, False])
@pytest.mark.parametrize(("dimension", "metric", "threshold"), CARDS)
def test_all_pairs_are_found_and_no_other(
    monkeypatch: pytest.MonkeyPatch, by_onnx: bool, dimension: int, metric: Metric, threshold: float
) -> None:
    monkeypatch.setattr(integer_product, "MIN_ONNX_PAIRS", 0 if by_onnx else 10**12)
    vectors = vectors_near_the_threshold(dimension, metric, threshold)
    for first in (len(vectors), 120):
        wanted = brute_force(vectors, first, metric, threshold)
        assert found(vectors, first, metric, threshold) == wanted
        assert len(wanted) > 15


def test_distances_within_1e_9_of_the_threshold_are_decided_exactly() -> None:
    """float32 cannot tell them from the threshold."""
    random, base = np.random.default_rng(1), synthetic(10)
    rows = list(base)
    sides = []
    for one in base:
        away = random.normal(0, 1, 128)
        other = (one + away * 0.38 / np.linalg.norm(away)).astype(np.float32)
        step = np.spacing(other)
        moved = (other + random.integers(-2, 3, (10_000, 128)) * step).astype(np.float32)
        apart = distances(moved, one.astype(np.float64), "euclidean") - 0.38
        for side in (apart <= 0, apart > 0):
            near = np.flatnonzero(side)[np.abs(apart[side]).argmin()]
            assert abs(apart[near]) < 1e-9
            rows.append(moved[near])
            sides.append(bool(apart[near] <= 0))
    vectors = np.array(rows, np.float32)
    pairs = found(vectors, len(base), "euclidean", 0.38)
    assert pairs == brute_force(vectors, len(base), "euclidean", 0.38)
    assert [(place // 2, 10 + place) in pairs for place in range(20)] == sides
    assert all(value == distance(vectors[i], vectors[j], "euclidean") for (i, j), value in pairs.items())


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 250])
def test_equal_descriptors_and_few_of_them(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    same = np.repeat(synthetic(1), rows, axis=0)
    for at_once in (0, 2**18):  # a block that has found so many goes on later
        monkeypatch.setattr(near_pairs_module, "MAX_PAIRS_AT_ONCE", at_once)
        assert len(found(same, rows, "euclidean", 0.38)) == rows * (rows - 1) // 2
    nothing = np.full((rows, 128), np.nan, np.float32)
    assert found(nothing, rows, "euclidean", 0.38) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has one nice value")
def test_the_threads_of_an_import_that_compare_let_others_run_first_and_no_other_thread() -> None:
    before, compared = os.nice(0), list[int]()
    vectors, count = synthetic(250), pair_count(250, 250)
    pairs = near_pairs(
        vectors, 250, "euclidean", 0.38, lambda _: compared.append(os.nice(0)), start_thread=_let_others_run_first
    )
    assert list(pairs) == []
    assert set(compared) == {min(before + COMPARING_NICE, 19)}
    assert count > len(compared) > 1
    assert os.nice(0) == before
