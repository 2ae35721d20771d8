"""NeighbourLists: after any comings and goings they are those that a comparison of all with all finds."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest

from face128.domain.descriptors import Metric, distances
from face128.gallery.neighbour_lists import Faces, NeighbourLists
from face128.matching.cohort import Cohort

NOBODY = np.empty(0, np.int64)


def faces(ids: Any = (), vectors: Any = (), users: Any = None, names: Any = None, by_name: Any = None) -> Faces:
    ids = np.array(ids, np.int64)
    users = ids if users is None else np.array(users, np.int64)
    names = -users - 1 if names is None else np.array(names, np.int64)
    by_name = np.zeros(len(ids), np.bool_) if by_name is None else np.array(by_name, np.bool_)
    block = np.array(vectors, np.float32) if len(ids) else np.empty((0, 1), np.float32)
    return Faces(ids, block, users, names, by_name)


def assert_made_anew(lists: NeighbourLists, vectors: Any, people: Any, ids: Any, metric: Metric) -> None:
    place = {number: row for row, number in enumerate(lists.ids.tolist())}
    assert sorted(place) == sorted(ids)
    rows, anew, kept = [place[number] for number in ids], Cohort.of(vectors, people, metric), lists.cohort()
    np.testing.assert_array_equal(kept.near[rows], anew.near)
    np.testing.assert_array_equal(kept.weights[rows], anew.weights)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("seed", range(3))
def test_after_many_comings_goings_and_renamings_the_lists_are_those_made_anew(metric: Metric, seed: int) -> None:
    """Few dimensions, so that some are near to many; some of no direction, some alike, some with many faces."""
    random, lists = np.random.default_rng(seed), NeighbourLists(metric, 8)
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
            his = {number: face for number, face in table.items() if face[1] == renamed and number not in gone}
            changed |= {number: (face[0], renamed, name, face[3]) for number, face in his.items()}
        table = {number: face for number, face in (table | changed).items() if number not in gone}
        columns = zip(*changed.values(), strict=True)
        lists.change(np.array(sorted(gone), np.int64), faces(list(changed), *columns) if changed else faces())
        by_names = {name for _, _, name, by_name in table.values() if by_name}
        people = [name if by_name or name in by_names else user for _, user, name, by_name in table.values()]
        if table:
            assert_made_anew(lists, np.array([face[0] for face in table.values()]), np.array(people), table, metric)


def test_what_two_bounds_promise_holds_and_finds_all_that_matter() -> None:
    """Numbers of all magnitudes: float32 loses most of what it has of a small difference of large ones."""
    random = np.random.default_rng(3)
    vectors = (random.normal(size=(400, 128)) * 10.0 ** random.integers(-3, 4, (400, 1))).astype(np.float32)
    vectors[200:] = vectors[:200] + random.normal(0, 1e-3, (200, 128))
    lists = NeighbourLists("euclidean", 128)
    lists.change(NOBODY, faces(range(400), vectors))
    assert_made_anew(lists, vectors, np.arange(400), range(400), "euclidean")
    cohort = lists.cohort()
    for probe in vectors[::37].astype(np.float64) + random.normal(0, 1e-3, (11, 128)):
        exact, (least, most) = distances(vectors, probe, "euclidean"), lists.bounds(probe)
        assert ((least <= exact) & (exact <= most)).all()
        rows = cohort.involved(least, most)
        assert cohort.standing(rows, exact[rows]) == Cohort.of(vectors, np.arange(400), "euclidean").standing(
            np.arange(400), exact
        )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("apart", [0.01, 0.03, 0.1])
def test_where_float32_cannot_tell_who_is_nearest_more_are_looked_at(
    metric: Metric, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces that are nearer to each other than what their squares are rounded by, where FAISS multiplies matrices.

    From how many faces on it does so is its own affair, and another one in other versions.
    """
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 1)
    vectors = (30 + np.random.default_rng(5).normal(0, apart, (300, 128))).astype(np.float32)
    lists = NeighbourLists(metric, 128)
    lists.change(NOBODY, faces(range(300), vectors))
    assert_made_anew(lists, vectors, np.arange(300), range(300), metric)


def test_most_deletions_look_for_nobody_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare places are worth their memory; and without them it would be right all the same."""
    random, lists = np.random.default_rng(4), NeighbourLists("euclidean", 128)
    lists.change(NOBODY, faces(range(2000), random.normal(size=(2000, 128))))
    looked: list[int] = []
    look = NeighbourLists._look

    def counted(self: NeighbourLists, rows: Any, *more: Any) -> None:
        looked.append(len(rows))
        look(self, rows, *more)

    monkeypatch.setattr(NeighbourLists, "_look", counted)
    for number in random.choice(2000, 50, replace=False):
        lists.change(np.array([number]), faces())
    assert sum(looked) < 10
