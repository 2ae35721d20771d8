"""Descriptors of several models on the members and on the probe: which models, which photos, in which wire form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from match_bodies import GOOD, PROBE, RETAIL, as_base64, as_base64_url, as_object, ask, same_members, the_same

from face128.domain.members import MemberList
from face128.domain.model_card import DLIB, FACEAPI, find_card
from face128.domain.model_card import RETAIL as RETAIL_CARD
from face128.errors import InvalidDescriptor, ModelMismatch
from face128.match_body.parser import parse

BOTH = {DLIB.name: GOOD, RETAIL_CARD.name: RETAIL}
FORMS: tuple[Callable[[list[float]], Any], ...] = (list, as_object, json.dumps, as_base64, as_base64_url)


def read(*members: Any, **more: Any) -> MemberList:
    enrolled = parse(ask(*members, **more)).enrolled
    assert enrolled is not None
    return enrolled


def rows(members: MemberList) -> dict[str, list[tuple[int, int, float]]]:
    """By model, for each descriptor its member, its photo and its first number."""
    return {
        each.card.name: list(
            zip(each.owners.tolist(), each.photos.tolist(), each.vectors[:, 0].astype(float).tolist(), strict=True)
        )
        for each in members.of_models
    }


def test_photos_are_told_apart_by_their_places() -> None:
    members = [
        {"regNo": 0, "descriptors": BOTH},
        {"regNo": 1, "descriptors": {DLIB.name: [None, PROBE, GOOD], RETAIL_CARD.name: [RETAIL, [], RETAIL]}},
        {"regNo": 2, "descriptor": PROBE, "descriptors": {RETAIL_CARD.name: RETAIL}},
        {"regNo": 3, "descriptor": GOOD, "descriptors": {DLIB.name: [GOOD, PROBE]}},
        {"regNo": 4, "descriptor": PROBE, "descriptors": {DLIB.name: [GOOD], FACEAPI.name: GOOD}},
        {"regNo": 5, "descriptor": PROBE},
        {"regNo": 6, "descriptor": RETAIL, "model": RETAIL_CARD.name, "descriptors": {DLIB.name: None}},
        {"regNo": 7, "descriptors": [GOOD, PROBE]},
        {"regNo": 8, "descriptors": {}},
    ]
    enrolled = read(*members)
    assert enrolled.vectors.shape == (0, 128)
    assert rows(enrolled) == {
        DLIB.name: [(0, 0, -0.06), (1, 1, 0.5), (1, 2, -0.06), (2, 0, 0.5), (3, 0, -0.06), (3, 1, 0.5), (4, -1, 0.5),
                    (4, 0, -0.06), (5, -1, 0.5), (7, 0, -0.06), (7, 1, 0.5)],
        RETAIL_CARD.name: [(0, 0, -1.3), (1, 0, -1.3), (1, 2, -1.3), (2, 0, -1.3), (6, 0, -1.3)],
        FACEAPI.name: [(4, 0, -0.06)],
    }  # fmt: skip
    assert enrolled.descriptor_count == 17


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_text", [False, True])
def test_every_wire_form_has_the_same_numbers(form: Callable[[list[float]], Any], as_text: bool) -> None:
    def single(numbers: list[float]) -> list[float]:
        return np.array(numbers, np.float32).astype(np.float64).tolist()  # type: ignore[no-any-return]

    def body(form: Callable[[list[float]], Any]) -> tuple[Any, Any]:
        by_model = {DLIB.name: [form(single(GOOD)), None, form(single(PROBE))], RETAIL_CARD.name: form(single(RETAIL))}
        return by_model, {"regNo": 1, "name": "x", "descriptor": form(single(GOOD)), "descriptors": by_model}

    written, member = body(form)
    if as_text:
        written, member = json.dumps(written), {**member, "descriptors": json.dumps(written)}
    plain, plain_member = body(list)
    asked = parse(json.dumps({"descriptors": written, "enrolled": [member]}).encode())
    expected = parse(json.dumps({"descriptors": plain, "enrolled": [plain_member]}).encode())
    assert asked.enrolled is not None
    assert expected.enrolled is not None
    assert same_members(asked.enrolled, expected.enrolled, precision=False)
    for (card, vector), (other_card, other_vector) in zip(
        asked.probe.descriptors, expected.probe.descriptors, strict=True
    ):
        assert (card, vector.tolist()) == (other_card, other_vector.tolist())


def test_the_second_form_of_a_photo_is_the_same_photo_whatever_the_precision() -> None:
    single = np.array(GOOD, np.float32).astype(np.float64).tolist()
    for one, first in ((as_base64(GOOD), single), (single, as_base64(GOOD)), (single, single), (as_base64(GOOD),) * 2):
        members = read({"regNo": 1, "descriptor": one, "descriptors": {DLIB.name: [first, PROBE]}})
        assert [photo for _, photo, _ in rows(members)[DLIB.name]] == [0, 1]
        members = read({"regNo": 1, "descriptor": as_base64(PROBE), "descriptors": {DLIB.name: [first, PROBE]}})
        assert [photo for _, photo, _ in rows(members)[DLIB.name]] == [-1, 0, 1]


def test_the_probe_has_one_descriptor_of_each_model() -> None:
    def asked(**probe: Any) -> list[tuple[str, list[float]]]:
        found = parse(json.dumps({"enrolled": [], **probe}).encode()).probe
        return [(card.name, vector.tolist()) for card, vector in found.descriptors]

    dlib, retail = (DLIB.name, GOOD), (RETAIL_CARD.name, RETAIL)
    assert asked(descriptors=BOTH) == [dlib, retail]
    assert asked(descriptors=dict(reversed(BOTH.items()))) == [dlib, retail]
    assert asked(descriptors=BOTH, model=RETAIL_CARD.name) == [retail, dlib]
    assert asked(descriptor=GOOD, descriptors={RETAIL_CARD.name: [None, RETAIL]}) == [dlib, retail]
    assert asked(descriptor=GOOD, descriptors={DLIB.name: [GOOD]}) == [dlib]
    assert asked(descriptor=None, descriptors={RETAIL_CARD.name: RETAIL, DLIB.name: []}) == [retail]
    mean = [(a + b) / 2 for a, b in zip(GOOD, PROBE, strict=True)]
    assert asked(descriptors=[GOOD, PROBE]) == [(DLIB.name, mean)]
    assert asked(descriptor=GOOD, descriptors={DLIB.name: PROBE}) == [(DLIB.name, mean)]
    assert asked(descriptor=GOOD, descriptors={DLIB.name: [GOOD, PROBE]}) == [(DLIB.name, mean)]
    ((_, scaled),) = asked(descriptors={RETAIL_CARD.name: [RETAIL, [7 * x for x in RETAIL]]})
    assert scaled == pytest.approx(np.array(RETAIL) / np.linalg.norm(RETAIL), abs=1e-15)


def test_a_number_as_threshold_is_for_the_probes_own_model() -> None:
    def thresholds(**more: Any) -> dict[str, float]:
        return dict(parse(json.dumps({"enrolled": [], **more}).encode()).thresholds)

    assert thresholds(descriptors=BOTH, threshold=0.5) == {DLIB.name: 0.5}
    assert thresholds(descriptors=BOTH, threshold=0.5, model=RETAIL_CARD.name) == {RETAIL_CARD.name: 0.5}
    assert thresholds(descriptors={RETAIL_CARD.name: RETAIL}, threshold=0.5) == {RETAIL_CARD.name: 0.5}
    by_model = {DLIB.name: 0.5, "dlib-resnet-v1+retail-0095": 2, RETAIL_CARD.name: None}
    assert thresholds(descriptor=GOOD, threshold=by_model) == {DLIB.name: 0.5, "dlib-resnet-v1+retail-0095": 2.0}


def test_the_model_of_a_member_is_the_requests_one_comparable_or_the_other_of_a_pair() -> None:
    retail, other = {"regNo": 1, "descriptor": RETAIL, "model": RETAIL_CARD.name}, find_card("retail-12345678")
    assert other is not None
    assert rows(read(retail, {**retail, "model": other.name})).keys() == {RETAIL_CARD.name, other.name}
    dlib = {"regNo": 1, "descriptor": GOOD, "model": FACEAPI.name}
    assert rows(read(dlib, probe=RETAIL, model=RETAIL_CARD.name)).keys() == {FACEAPI.name}
    pack = "insightface-x-12345678"
    for members in (
        [{**retail, "model": pack}],
        [{"regNo": 1, "descriptors": {pack: [0.5] * 512}}, {"regNo": 2, "descriptor": [0.5] * 512, "model": pack}],
    ):
        with pytest.raises(ModelMismatch) as refused:
            read(*members)
        assert refused.value.context["field"] == f"enrolled[{len(members) - 1}].model"


def test_of_two_fields_with_one_name_the_first_counts() -> None:
    twice = [f'"{name}":{json.dumps(value)}' for name, value in ((DLIB.name, GOOD), (DLIB.name, PROBE))]
    body = f'{{"descriptors":{{{",".join(twice)}}},"enrolled":[{{"regNo":1,"descriptors":{{{",".join(twice)}}}}}]}}'
    once = json.dumps({"descriptors": {DLIB.name: GOOD}, "enrolled": [{"regNo": 1, "descriptors": {DLIB.name: GOOD}}]})
    assert the_same(parse(body.encode()), parse(once.encode()))
    numbers = json.dumps(as_object(RETAIL))[:-1] + ', "0": 7}'
    body = f'{{"descriptors":{{"{RETAIL_CARD.name}":[{numbers}]}},"enrolled":[]}}'
    assert parse(body.encode()).probe.descriptors[0][1].tolist() == RETAIL


def test_an_object_of_very_many_fields_is_refused_soon() -> None:
    """A look-up in a parsed object takes longer the more fields it has; as many look-ups would take minutes."""
    many = "{" + ",".join(f'"k{i}":1' for i in range(200_000)) + ',"k0":2}'
    probe = json.dumps(GOOD)
    for body, field in (
        (f'{{"descriptor":{many}}}', "descriptor"),
        (f'{{"descriptors":{many}}}', "descriptors"),
        (f'{{"descriptor":{probe},"enrolled":[{{"regNo":1,"descriptors":{many}}}]}}', "enrolled[0].descriptors"),
    ):
        with pytest.raises(InvalidDescriptor) as refused:
            parse(body.encode())
        assert refused.value.context["field"] == field
