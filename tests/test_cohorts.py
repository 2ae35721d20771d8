from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from face128.cohort import Cohort
from face128.cohorts import KEPT, WAITING, Cohorts
from face128.enrolled import Enrolled
from face128.errors import Overloaded


def listed(vectors: Any, people: Any) -> Enrolled:
    return Enrolled(people.tolist(), [None] * len(people), vectors, np.arange(len(people)))


def members(seed: int, count: int = 30) -> Enrolled:
    return listed(np.random.default_rng(seed).normal(size=(count, 16)), np.arange(count))


def test_a_list_is_worked_on_once_and_known_again_by_its_numbers() -> None:
    cohorts, enrolled = Cohorts(), members(1)
    cohort = cohorts.of(enrolled, "euclidean")
    np.testing.assert_array_equal(cohort.near, Cohort.of(enrolled.vectors, enrolled.people, "euclidean").near)
    assert cohorts.of(members(1), "euclidean") is cohort


def test_whatever_changes_the_distances_or_the_members_is_another_list() -> None:
    cohorts, vectors, people = Cohorts(), members(1).vectors, members(1).people
    other = vectors.copy()
    other[17, 3] = np.nextafter(other[17, 3], 1)
    lists: list[tuple[Any, Any, Any]] = [
        (vectors, people, "euclidean"),
        (vectors, people, "cosine"),
        (vectors, people // 2, "euclidean"),
        (other, people, "euclidean"),
        (vectors[::-1], people, "euclidean"),
        (vectors[:-1], people[:-1], "euclidean"),
        (vectors.astype(np.float32), people, "euclidean"),
        (vectors.reshape(60, 8), np.arange(60), "euclidean"),
    ]
    known = [cohorts.of(listed(vectors, people), metric) for vectors, people, metric in lists]
    assert len({id(cohort) for cohort in known}) == len(lists)
    for cohort, each in zip(known, lists, strict=True):
        np.testing.assert_array_equal(cohort.near, Cohort.of(*each).near)


def test_the_list_that_was_not_asked_for_longest_is_forgotten_and_its_memory_freed() -> None:
    cohorts = Cohorts()
    first, second = (weakref.ref(cohorts.of(members(seed), "euclidean")) for seed in (0, 1))
    for seed in range(2, KEPT + 1):
        cohorts.of(members(seed), "euclidean")
        cohorts.of(members(0), "euclidean")
    gc.collect()
    assert first() is cohorts.of(members(0), "euclidean")
    assert second() is None


def test_many_who_ask_for_one_list_at_once_share_one_cohort() -> None:
    cohorts, enrolled = Cohorts(), members(3, 1500)
    together = threading.Barrier(WAITING)

    def ask(_: int) -> Cohort:
        together.wait()
        return cohorts.of(enrolled, "euclidean")

    with ThreadPoolExecutor(WAITING) as clients:
        assert len({id(cohort) for cohort in clients.map(ask, range(WAITING))}) == 1


def test_too_many_new_lists_at_once_are_overload_and_known_ones_are_answered_meanwhile() -> None:
    cohorts, known = Cohorts(), members(0)
    cohort = cohorts.of(known, "euclidean")
    lists = [members(seed, 2500) for seed in range(1, 16)]
    together = threading.Barrier(len(lists))

    def ask(each: Enrolled) -> bool:
        together.wait()
        try:
            cohorts.of(each, "euclidean")
        except Overloaded:
            assert cohorts.of(known, "euclidean") is cohort
            return False
        return True

    with ThreadPoolExecutor(len(lists)) as clients:
        served = list(clients.map(ask, lists))
    assert WAITING <= sum(served) < len(lists)
    assert cohorts.of(lists[0], "euclidean").members == 2500  # every place is free again
