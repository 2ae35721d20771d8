from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dlib_truth import ONE_FACE_PHOTOS, descriptors
from face_recognition import compare_faces, face_distance
from hypothesis import given, settings
from hypothesis import strategies as st

from face128.domain.descriptors import Vector
from face128.domain.members import MatchRequest, MemberList, RegNo
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.errors import InvalidRequest
from face128.matching.decision import decide
from face128.matching.outcome import Decision

COSINE = replace(DLIB, name="cosine", metric="cosine", threshold=0.45)


def decision_for(
    probe: Any,
    vectors: Any,
    *,
    threshold: float | None = None,
    owners: list[int] | None = None,
    reg_nos: list[RegNo] | None = None,
    card: Any = DLIB,
) -> Decision:
    vectors = np.asarray(vectors) if len(vectors) else np.empty((0, len(probe)))
    owners = list(range(len(vectors))) if owners is None else owners
    reg_nos = list(range(max(owners, default=-1) + 1)) if reg_nos is None else reg_nos
    names: list[str | None] = [f"name {i}" for i in range(len(reg_nos))]
    members = MemberList(reg_nos, names, vectors, np.array(owners, np.int64))
    asked = Probe(((card, np.asarray(probe, np.float64)),))
    return decide(MatchRequest(asked, card, {card.name: threshold} if threshold else {}, members), explain=True)


def in_index_order(a: Any, b: Any) -> float:
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += (x - y) * (x - y)
    return math.sqrt(total)


# A coarse grid, so that equal distances and repeated members are common.
rows = st.lists(st.lists(st.sampled_from([-0.3, -0.1, 0.0, 0.1, 0.2]), min_size=4, max_size=4), min_size=1, max_size=9)


@settings(deadline=None)
@given(rows, st.data())
def test_the_decision_is_that_of_a_loop_over_everybody(vectors: list[list[float]], data: st.DataObject) -> None:
    probe, *vectors = vectors
    owners = sorted(data.draw(st.lists(st.integers(0, 5), min_size=len(vectors), max_size=len(vectors))))
    reg_nos = data.draw(st.lists(st.sampled_from([1, 2, "1", "x", 2.5]), min_size=6, max_size=6))
    found = [(in_index_order(probe, vector), owner) for vector, owner in zip(vectors, owners, strict=True)]
    threshold = data.draw(st.sampled_from([0.1, 0.38, *(d for d, _ in found if d > 0)]))

    best = min(found, key=lambda row: row[0], default=None)
    second = min((r for r in found if best and reg_nos[r[1]] != reg_nos[best[1]]), key=lambda r: r[0], default=None)
    decision = decision_for(probe, vectors, owners=owners, reg_nos=reg_nos, threshold=threshold)

    for candidate, wanted in ((decision.nearest, best), (decision.runner_up, second)):
        found_values = candidate and (candidate.distance, candidate.reg_no, candidate.name)
        assert found_values == (wanted and (wanted[0], reg_nos[wanted[1]], f"name {wanted[1]}"))
    assert decision.matched == (best is not None and best[0] <= threshold)
    assert decision.margin == (second[0] - best[0] if best and second else None)


def edge(wanted: float, *, above: bool) -> tuple[Vector, Vector]:
    """Two descriptors at this distance in index order, of which numpy's order says that it is above 0.38, or not."""
    random = np.random.default_rng(0)
    while True:
        a, step = random.normal(0, 0.1, 128), random.normal(size=128)
        b = a + wanted / np.linalg.norm(step) * step
        for _ in range(50):
            b[-1] += (wanted - in_index_order(a, b)) * wanted / (b[-1] - a[-1])
        if in_index_order(a, b) == wanted and (np.sqrt(np.vecdot(a - b, a - b)) > 0.38) == above:
            return a, b


def test_a_distance_of_exactly_the_threshold_matches_whatever_the_order_of_a_fast_sum_says() -> None:
    a, b = edge(0.38, above=True)
    assert decision_for(a, [b]).matched
    assert decision_for(a, [b]).nearest.distance == 0.38  # type: ignore[union-attr]


def test_the_next_double_above_the_threshold_does_not_match() -> None:
    a, b = edge(math.nextafter(0.38, 1), above=False)
    assert not decision_for(a, [b]).matched


def test_rows_that_only_the_last_bits_tell_apart_are_told_apart() -> None:
    """Many permutations of one difference: in exact numbers equally far away, in index order they are not."""
    random = np.random.default_rng(3)
    probe, step = random.normal(0, 0.1, 128), random.normal(0, 0.03, 128)
    vectors = np.array([probe + random.permutation(step) for _ in range(3000)])
    exact = [in_index_order(probe, vector) for vector in vectors.tolist()]
    assert len(set(exact)) > 1
    candidate = decision_for(probe, vectors).nearest
    assert candidate is not None
    assert (candidate.reg_no, candidate.distance) == (exact.index(min(exact)), min(exact))


def test_of_thousands_of_equal_members_the_first_is_named() -> None:
    decision = decision_for(np.zeros(128), np.full((5000, 128), 0.01), reg_nos=[7 + i for i in range(5000)])
    assert decision.nearest is not None
    assert decision.runner_up is not None
    assert (decision.nearest.reg_no, decision.runner_up.reg_no, decision.margin) == (7, 8, 0)


@pytest.mark.parametrize("threshold", [0.3, 0.34, 0.38, 0.5, 0.6, 0.83])
def test_photos_are_matched_as_face_recognition_compares_them(threshold: float) -> None:
    people = np.array([descriptors(name)[0] for name in ONE_FACE_PHOTOS])
    for probe in people:
        for others in (people, people[::-1], np.array([p for p in people if p is not probe][1:])):
            decision = decision_for(probe, others, threshold=threshold)
            assert decision.nearest is not None
            assert decision.nearest.reg_no == int(face_distance(others, probe).argmin())
            assert decision.matched == any(compare_faces(list(others), probe, threshold))


def test_among_ten_thousand_the_nearest_is_face_recognitions_in_either_precision() -> None:
    random = np.random.default_rng(5)
    known = random.normal(0, 0.1, (10_000, 128))
    for i in (0, 1023, 1024, 4567, 9_999):
        probe = known[i] + random.normal(0, 0.02, 128)
        for vectors in (known, known.astype(np.float32)):
            candidate = decision_for(probe, vectors).nearest
            assert candidate is not None
            assert candidate.reg_no == int(face_distance(vectors, probe).argmin()) == i
            assert candidate.distance == in_index_order(probe.tolist(), vectors[i].tolist())


@pytest.mark.parametrize("card", [DLIB, COSINE], ids=lambda card: card.metric)
def test_what_has_no_distance_never_matches_and_hides_nobody(card: Any) -> None:
    never = [[math.nan, 0.1], [math.inf, 0.1], [-math.inf, math.nan], [1e200, 1e200]]
    lonely = decision_for([0.1, 0.1], never[:3], threshold=2, card=card)
    assert (lonely.nearest, lonely.runner_up, lonely.margin, lonely.matched) == (None, None, None, False)
    candidate = decision_for([0.1, 0.1], [*never[:3], [0.1, 0.11], *never], card=card).nearest
    assert candidate is not None
    assert candidate.reg_no == 3
    if card is DLIB:
        assert decision_for([0.1, 0.1], never, threshold=2).nearest is None
        assert decision_for([math.nan, 0.1], [[0.1, 0.1]], threshold=2).nearest is None


def test_the_runner_up_is_another_member_though_the_first_is_listed_several_times() -> None:
    vectors = [[0.5], [0.01], [0.02], [0.03], [0.2]]
    decision = decision_for([0.0], vectors, owners=[0, 1, 1, 2, 3], reg_nos=[1, 1029, 1029.0, "1029"])
    assert decision.nearest is not None
    assert decision.runner_up is not None
    assert (decision.nearest.reg_no, decision.nearest.distance) == (1029, 0.01)
    assert (decision.runner_up.reg_no, decision.runner_up.distance) == ("1029", 0.2)


def test_cosine_finds_the_smallest_angle_whatever_the_lengths() -> None:
    random = np.random.default_rng(6)
    vectors = random.normal(size=(3000, 16)) * random.uniform(0.1, 9, (3000, 1))
    probe = 5 * vectors[1234] + random.normal(0, 0.01, 16)
    cosines = vectors @ probe / np.linalg.norm(vectors, axis=1) / np.linalg.norm(probe)
    decision = decision_for(probe, vectors, card=COSINE)
    assert decision.nearest is not None
    assert decision.runner_up is not None
    assert decision.nearest.reg_no == 1234 == cosines.argmax()
    assert decision.nearest.distance == pytest.approx(1 - cosines[1234], abs=1e-12)
    assert decision.runner_up.distance == pytest.approx(1 - np.sort(cosines)[-2], abs=1e-12)
    assert (decision.threshold, decision.model) == (0.45, "cosine")


def test_without_a_threshold_the_models_own_counts() -> None:
    assert decision_for([0.0], [[0.37]]).matched
    assert not decision_for([0.0], [[0.39]]).matched
    assert decision_for([0.0], [[0.39]], threshold=0.5).matched
    assert decision_for([0.0], [[0.39]]).threshold == 0.38


def test_an_empty_list_is_no_match_and_a_missing_one_is_an_error() -> None:
    nobody = {"distance": None, "threshold": 0.38, "model": "dlib-resnet-v1", "runner_up": None, "margin": None}
    assert decision_for([0.0], []).answer(explain=True) == {"match": False, **nobody}
    with pytest.raises(InvalidRequest) as refused:
        decide(MatchRequest(Probe(((DLIB, np.zeros(1)),)), DLIB, {}, None))
    assert refused.value.context == {"field": "enrolled"}


def test_the_answer_has_the_fields_of_the_contract_and_no_others() -> None:
    decision = decision_for([0.0], [[0.25], [0.75]], reg_nos=["0042", 7])
    explained = {"distance": 0.25, "threshold": 0.38, "model": "dlib-resnet-v1", "margin": 0.5}
    runner_up = {"regNo": 7, "name": "name 1", "distance": 0.75}
    assert decision.answer() == {"regNo": "0042", "name": "name 0"}
    assert decision.answer(explain=True) == {"regNo": "0042", "name": "name 0", "runner_up": runner_up, **explained}
    missed = decision_for([0.0], [[0.5], [0.75]])
    assert missed.answer() == {"match": False}
    assert missed.answer(explain=True)["distance"] == 0.5
