from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from face128.domain.members import MemberList
from face128.errors import Overloaded
from face128.matching.cohort_builder import MAX_WAITING_REQUESTS, CohortBuilder
from face128.matching.conformal import Cohort


def member_list(vectors: Any, person_ids: Any) -> MemberList:
    return MemberList(person_ids.tolist(), [None] * len(person_ids), vectors, np.arange(len(person_ids)))


def members(seed: int, count: int = 30) -> MemberList:
    return member_list(np.random.default_rng(seed).normal(size=(count, 16)), np.arange(count))


def test_a_list_has_its_cohort_built_once_and_keeps_it() -> None:
    builder, enrolled = CohortBuilder(), members(1)
    cohort = builder.cohort(enrolled, "euclidean")
    expected = Cohort.of(enrolled.vectors, enrolled.person_ids, "euclidean")
    np.testing.assert_array_equal(cohort.neighbour_distances, expected.neighbour_distances)
    assert builder.cohort(enrolled, "euclidean") is cohort
    assert CohortBuilder().cohort(enrolled, "euclidean") is cohort


def test_another_list_and_another_metric_have_cohorts_of_their_own() -> None:
    builder, vectors, person_ids = CohortBuilder(), members(1).vectors, members(1).person_ids
    enrolled = member_list(vectors, person_ids)
    for metric in ("euclidean", "cosine"):
        expected = Cohort.of(vectors, person_ids, metric).neighbour_distances
        np.testing.assert_array_equal(builder.cohort(enrolled, metric).neighbour_distances, expected)
    np.testing.assert_array_equal(
        builder.cohort(member_list(vectors, person_ids // 2), "euclidean").neighbour_distances,
        Cohort.of(vectors, person_ids // 2, "euclidean").neighbour_distances,
    )


def test_a_cohort_is_freed_with_its_list() -> None:
    enrolled = members(0)
    cohort = weakref.ref(CohortBuilder().cohort(enrolled, "euclidean"))
    del enrolled
    gc.collect()
    assert cohort() is None


def test_many_who_ask_for_one_list_at_once_share_one_cohort() -> None:
    builder, enrolled = CohortBuilder(), members(3, 1500)
    barrier = threading.Barrier(MAX_WAITING_REQUESTS)

    def ask(_: int) -> Cohort:
        barrier.wait()
        return builder.cohort(enrolled, "euclidean")

    with ThreadPoolExecutor(MAX_WAITING_REQUESTS) as clients:
        assert len({id(cohort) for cohort in clients.map(ask, range(MAX_WAITING_REQUESTS))}) == 1


def test_too_many_new_lists_at_once_are_overload_and_cached_ones_are_answered_meanwhile() -> None:
    builder, cached = CohortBuilder(), members(0)
    cohort = builder.cohort(cached, "euclidean")
    lists = [members(seed, 2500) for seed in range(1, 16)]
    barrier = threading.Barrier(len(lists))

    def ask(each: MemberList) -> bool:
        barrier.wait()
        try:
            builder.cohort(each, "euclidean")
        except Overloaded:
            assert builder.cohort(cached, "euclidean") is cohort
            return False
        return True

    with ThreadPoolExecutor(len(lists)) as clients:
        served = list(clients.map(ask, lists))
    assert MAX_WAITING_REQUESTS <= sum(served) < len(lists)
    assert builder.cohort(lists[0], "euclidean").member_count == 2500  # all waiting slots are free again
