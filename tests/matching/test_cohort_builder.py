from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from face128.domain.members import Enrolled
from face128.errors import Overloaded
from face128.matching.cohort import Cohort
from face128.matching.cohort_builder import MAX_WAITING_REQUESTS, CohortBuilder


def listed(vectors: Any, people: Any) -> Enrolled:
    return Enrolled(people.tolist(), [None] * len(people), vectors, np.arange(len(people)))


def members(seed: int, count: int = 30) -> Enrolled:
    return listed(np.random.default_rng(seed).normal(size=(count, 16)), np.arange(count))


def test_a_list_has_its_cohort_built_once_and_keeps_it() -> None:
    builder, enrolled = CohortBuilder(), members(1)
    cohort = builder.cohort(enrolled, "euclidean")
    np.testing.assert_array_equal(cohort.near, Cohort.of(enrolled.vectors, enrolled.people, "euclidean").near)
    assert builder.cohort(enrolled, "euclidean") is cohort
    assert CohortBuilder().cohort(enrolled, "euclidean") is cohort


def test_another_list_and_another_metric_have_cohorts_of_their_own() -> None:
    builder, vectors, people = CohortBuilder(), members(1).vectors, members(1).people
    enrolled = listed(vectors, people)
    for metric in ("euclidean", "cosine"):
        expected = Cohort.of(vectors, people, metric).near
        np.testing.assert_array_equal(builder.cohort(enrolled, metric).near, expected)
    np.testing.assert_array_equal(
        builder.cohort(listed(vectors, people // 2), "euclidean").near,
        Cohort.of(vectors, people // 2, "euclidean").near,
    )


def test_a_cohort_is_freed_with_its_list() -> None:
    enrolled = members(0)
    cohort = weakref.ref(CohortBuilder().cohort(enrolled, "euclidean"))
    del enrolled
    gc.collect()
    assert cohort() is None


def test_many_who_ask_for_one_list_at_once_share_one_cohort() -> None:
    builder, enrolled = CohortBuilder(), members(3, 1500)
    together = threading.Barrier(MAX_WAITING_REQUESTS)

    def ask(_: int) -> Cohort:
        together.wait()
        return builder.cohort(enrolled, "euclidean")

    with ThreadPoolExecutor(MAX_WAITING_REQUESTS) as clients:
        assert len({id(cohort) for cohort in clients.map(ask, range(MAX_WAITING_REQUESTS))}) == 1


def test_too_many_new_lists_at_once_are_overload_and_known_ones_are_answered_meanwhile() -> None:
    builder, known = CohortBuilder(), members(0)
    cohort = builder.cohort(known, "euclidean")
    lists = [members(seed, 2500) for seed in range(1, 16)]
    together = threading.Barrier(len(lists))

    def ask(each: Enrolled) -> bool:
        together.wait()
        try:
            builder.cohort(each, "euclidean")
        except Overloaded:
            assert builder.cohort(known, "euclidean") is cohort
            return False
        return True

    with ThreadPoolExecutor(len(lists)) as clients:
        served = list(clients.map(ask, lists))
    assert MAX_WAITING_REQUESTS <= sum(served) < len(lists)
    assert builder.cohort(lists[0], "euclidean").members == 2500  # every place is free again
