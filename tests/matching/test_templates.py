"""Templates by their definition, as a loop over plain Python numbers finds them; and what they mean for real photos."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import photo_descriptor

from face128.domain.decision_rule import Rule
from face128.domain.members import MatchRequest, MemberList, RegNo
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.matching.decision import decide
from face128.matching.templates import MAX_CENTRES, far_from_the_others, kept, mean_members, templates

LIMIT = 0.6
COSINE = replace(DLIB, name="cosine", metric="cosine")


def apart(a: list[float], b: list[float]) -> float:
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += (x - y) * (x - y)
    return math.sqrt(total)


def template_by_definition(photos: list[list[float]]) -> list[float]:
    candidates = photos[:MAX_CENTRES]
    counts = [sum(apart(one, other) <= LIMIT for other in candidates) for one in candidates]
    centre = candidates[counts.index(max(counts))]
    near = [photo for photo in photos if apart(photo, centre) <= LIMIT]
    if 2 * len(near) <= len(photos):
        near = photos
    sums = [0.0] * len(centre)
    for photo in near:
        sums = [total + number for total, number in zip(sums, photo, strict=True)]
    return [total / len(near) for total in sums]


# On this grid many distances are within the last bits of the limit.
descriptors = st.lists(st.sampled_from([-0.3, 0.0, 0.1, 0.3, 0.30000000000000004, 0.9]), min_size=3, max_size=3)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 3), descriptors), min_size=1, max_size=24))
def test_a_template_is_that_of_the_definition_to_the_last_bit(photos: list[tuple[int, list[float]]]) -> None:
    people: dict[int, list[list[float]]] = {}
    for person, descriptor in photos:
        people.setdefault(person, []).append(descriptor)
    numbers, vectors = zip(*photos, strict=True)
    found = templates(np.array(vectors), np.array(numbers), "euclidean", LIMIT)
    assert found.vectors.tolist() == [template_by_definition(own) for own in people.values()]
    assert found.first_rows.tolist() == [numbers.index(person) for person in people]


def test_a_member_with_thousands_of_photos_has_the_template_of_the_definition() -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(0, 0.02, (3000, 128)) + photo_descriptor("obama-2012.jpg")
    vectors[[3, 17, 2000]] += 1
    found = templates(vectors, np.zeros(3000, np.intp), "euclidean", LIMIT)
    assert found.vectors.tolist() == [template_by_definition(vectors.tolist())]


def test_a_photo_of_somebody_else_is_left_out_and_the_rest_counts() -> None:
    own = [photo_descriptor(f"obama-{year}.jpg") for year in (2009, 2010, 2012)]
    foreign = photo_descriptor("hopper-1984.jpg")
    for place in range(4):
        photos = np.array([*own[:place], foreign, *own[place:]])
        far, distances = far_from_the_others(photos, "euclidean", LIMIT)
        assert far.tolist() == [each == place for each in range(4)]
        assert distances[place] > LIMIT
        found = templates(photos, np.zeros(4, np.intp), "euclidean", LIMIT)
        assert found.vectors.tolist() == [template_by_definition([each.tolist() for each in own])]


def test_of_two_photos_that_differ_both_count() -> None:
    two = np.array([photo_descriptor("obama-2012.jpg"), photo_descriptor("hopper-1984.jpg")], np.float64)
    far, _ = far_from_the_others(two, "euclidean", LIMIT)
    assert far.tolist() == [False, True]
    assert kept(far).tolist() == [True, True]
    assert templates(two, np.zeros(2, np.intp), "euclidean", LIMIT).vectors.tolist() == [
        ((two[0] + two[1]) / 2).tolist()
    ]


@pytest.mark.parametrize("card", [DLIB, COSINE])
def test_descriptors_without_a_finite_distance_leave_the_others_alone(card: Any) -> None:
    good = photo_descriptor("obama-2012.jpg").astype(np.float64)
    bad = np.zeros(128) if card is COSINE else np.full(128, 1e200)
    found = templates(np.array([bad, good, good]), np.zeros(3, np.intp), card.metric, LIMIT)
    assert found.vectors.tolist() == [good.tolist()]
    members = MemberList([1, 1], ["x", "x"], np.full((2, 128), 1.5e308), np.arange(2))
    decision = decide(MatchRequest(Probe.of(DLIB, good), DLIB, {}, members, template="mean"))
    assert decision.nearest is None


def member_list(vectors: Any, owners: list[int], reg_nos: list[RegNo]) -> MemberList:
    names: list[str | None] = [f"name {place}" for place in range(len(reg_nos))]
    return MemberList(reg_nos, names, np.asarray(vectors), np.array(owners, np.int64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_members_with_one_photo_are_decided_as_by_nearest_to_the_last_bit(dtype: Any) -> None:
    random = np.random.default_rng(3)
    members = member_list(random.normal(0, 0.09, (300, 128)).astype(dtype), list(range(300)), list(range(300)))
    for rule in (Rule(), Rule("cohort", 0.02)):
        for probe in (*members.vectors[:5].astype(np.float64) + 0.01, *random.normal(0, 0.09, (5, 128))):
            asked = MatchRequest(Probe.of(DLIB, probe), DLIB, {}, members, rule)
            assert decide(replace(asked, template="mean"), explain=True) == decide(asked, explain=True)


def test_entries_of_one_reg_no_are_one_person_with_the_first_ones_name() -> None:
    vectors = np.array([photo_descriptor(f"obama-{year}.jpg") for year in (2009, 2010, 2012)], np.float64)
    members = member_list(vectors, [1, 3, 4], [7, 1029, 8, 9, 1029.0])
    found = mean_members(members, DLIB)
    named = [(found.reg_nos[owner], found.names[owner]) for owner in found.owners]
    assert named == [(1029, "name 1"), (9, "name 3")]
    assert found.vectors.tolist() == [((vectors[0] + vectors[2]) / 2).tolist(), vectors[1].tolist()]
    assert mean_members(members, DLIB) is found


def test_a_person_with_descriptors_of_two_models_has_a_template_of_each() -> None:
    vectors = np.array([photo_descriptor(f"obama-{year}.jpg") for year in (2009, 2010, 2012)], np.float64)
    members = replace(member_list(vectors, [0, 1, 2], [5, 5, 5]), other_model=np.array([False, True, False]))
    found = mean_members(members, DLIB)
    assert found.vectors.tolist() == [((vectors[0] + vectors[2]) / 2).tolist(), vectors[1].tolist()]
    assert found.other_model is not None
    assert (found.other_model.tolist(), found.person_ids.tolist()) == ([False, True], [0, 0])


def test_with_templates_each_person_is_one_row_of_the_cohort() -> None:
    random = np.random.default_rng(4)
    people = random.normal(0, 0.09, (120, 128))
    members = member_list(
        people.repeat(3, axis=0) + random.normal(0, 0.02, (360, 128)), sorted([*range(120)] * 3), list(range(120))
    )
    means = member_list(mean_members(members, DLIB).vectors, list(range(120)), list(range(120)))
    for probe in (people[5] + 0.01, random.normal(0, 0.09, 128)):
        asked = MatchRequest(Probe.of(DLIB, probe), DLIB, {}, members, Rule("cohort", 0.05), template="mean")
        assert decide(asked, explain=True) == decide(replace(asked, enrolled=means, template=None), explain=True)
