"""KnnGraph: after any changes its lists are those that a comparison of all with all finds."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest

from face128.domain.decision_rule import Tail
from face128.domain.descriptors import Metric, distances
from face128.gallery.cohort.knn_graph import KnnGraph
from face128.gallery.rows.space_rows import FaceBatch
from face128.matching.conformal import Cohort

NOBODY = np.empty(0, np.int64)
TAILS: tuple[Tail, ...] = ("exact", "estimate")


def faces(ids: Any = (), vectors: Any = (), users: Any = None, names: Any = None, by_name: Any = None) -> FaceBatch:
    ids = np.array(ids, np.int64)
    users = ids if users is None else np.array(users, np.int64)
    names = -users - 1 if names is None else np.array(names, np.int64)
    by_name = np.zeros(len(ids), np.bool_) if by_name is None else np.array(by_name, np.bool_)
    block = np.array(vectors, np.float32) if len(ids) else np.empty((0, 1), np.float32)
    return FaceBatch(ids, block, users, names, by_name)


def assert_made_anew(graph: KnnGraph, vectors: Any, people: Any, ids: Any, metric: Metric) -> None:
    row_of = {number: row for row, number in enumerate(graph.ids.tolist())}
    assert sorted(row_of) == sorted(ids)
    rows, expected, cohort = [row_of[number] for number in ids], Cohort.of(vectors, people, metric), graph.cohort()
    np.testing.assert_array_equal(cohort.neighbour_distances[rows], expected.neighbour_distances)
    np.testing.assert_array_equal(cohort.weights[rows], expected.weights)
    np.testing.assert_array_equal(cohort.lengths[rows], expected.lengths)
    np.testing.assert_equal(vars(cohort.tail), vars(expected.tail))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("seed", range(3))
def test_after_many_additions_removals_and_renamings_the_lists_are_those_made_anew(metric: Metric, seed: int) -> None:
    """Few dimensions, so that some faces are near to many; zero vectors, equal vectors, members with many faces."""
    random, graph = np.random.default_rng(seed), KnnGraph(metric, 8)
    table: dict[int, tuple[Any, int, int, bool]] = {}  # vector, user, name, by_name
    for step in range(320):
        gone: set[int] = set()
        changed: dict[int, tuple[Any, int, int, bool]] = {}
        for _ in range(random.integers(1, 4)):
            if table and random.random() < (0.65 if step // 80 % 2 else 0.3):
                gone.add(int(random.choice(list(table))))
                continue
            number, user, by_name = 1000 * (step + 1) + len(changed), int(random.integers(40)), random.random() < 0.2
            vector = random.normal(size=8) * (random.random() > 0.05)
            if table and random.random() < 0.1:
                vector = table[int(random.choice(list(table)))][0]
            name = -1 - int(random.integers(10)) if by_name else -1 - user % 15
            changed[number] = (vector.astype(np.float32), number if by_name else user, name, bool(by_name))
        if table and random.random() < 0.1:
            renamed, name = table[int(random.choice(list(table)))][1], -1 - int(random.integers(15))
            theirs = {number: face for number, face in table.items() if face[1] == renamed and number not in gone}
            changed |= {number: (face[0], renamed, name, face[3]) for number, face in theirs.items()}
        table = {number: face for number, face in (table | changed).items() if number not in gone}
        columns = zip(*changed.values(), strict=True)
        graph.update(np.array(sorted(gone), np.int64), faces(list(changed), *columns) if changed else faces())
        by_names = {name for _, _, name, by_name in table.values() if by_name}
        people = [name if by_name or name in by_names else user for _, user, name, by_name in table.values()]
        if table:
            assert_made_anew(graph, np.array([face[0] for face in table.values()]), np.array(people), table, metric)


def test_distances_are_within_their_bounds_and_the_bounds_find_all_affected_rows() -> None:
    """Numbers of all magnitudes: float32 loses most digits of a small difference of large numbers."""
    random = np.random.default_rng(3)
    vectors = (random.normal(size=(400, 128)) * 10.0 ** random.integers(-3, 4, (400, 1))).astype(np.float32)
    vectors[200:] = vectors[:200] + random.normal(0, 1e-3, (200, 128))
    graph = KnnGraph("euclidean", 128)
    graph.update(NOBODY, faces(range(400), vectors))
    assert_made_anew(graph, vectors, np.arange(400), range(400), "euclidean")
    cohort, all_pairs = graph.cohort(), Cohort.of(vectors, np.arange(400), "euclidean")
    for probe in vectors[::37].astype(np.float64) + random.normal(0, 1e-3, (11, 128)):
        exact, (least, most) = distances(vectors, probe, "euclidean"), graph.distance_bounds(probe)
        assert ((least <= exact) & (exact <= most)).all()
        length = float(np.linalg.norm(probe))
        for tail in TAILS:
            rows = cohort.affected_rows(least, most, tail)
            whole = all_pairs.score(np.arange(400), exact, length, tail)
            assert cohort.score(rows, exact[rows], length, tail) == whole


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("apart", [0.01, 0.03, 0.1])
def test_where_float32_cannot_tell_which_is_nearest_more_candidates_are_compared(
    metric: Metric, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces nearer to each other than the rounding of their squared norms, where FAISS uses matrix products.

    The number of faces from which it does depends on its version: here it is set to 1.
    """
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 1)
    vectors = (30 + np.random.default_rng(5).normal(0, apart, (300, 128))).astype(np.float32)
    graph = KnnGraph(metric, 128)
    graph.update(NOBODY, faces(range(300), vectors))
    assert_made_anew(graph, vectors, np.arange(300), range(300), metric)


def test_most_deletions_need_no_new_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare places in the lists save searches; the result would be right without them, too."""
    random, graph = np.random.default_rng(4), KnnGraph("euclidean", 128)
    graph.update(NOBODY, faces(range(2000), random.normal(size=(2000, 128))))
    searched: list[int] = []
    search = KnnGraph._search

    def counted(self: KnnGraph, rows: Any, *more: Any) -> None:
        searched.append(len(rows))
        search(self, rows, *more)

    monkeypatch.setattr(KnnGraph, "_search", counted)
    for number in random.choice(2000, 50, replace=False):
        graph.update(np.array([number]), faces())
    assert sum(searched) < 10
