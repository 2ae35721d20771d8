"""member_list.py: invalid members can be left out; every other list is read as it is inside a body of /match."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from match_bodies import GOOD, PROBE, RETAIL, as_base64, as_object, ask, member, same_members

from face128.domain.members import MemberList
from face128.domain.model_card import DLIB
from face128.errors import Face128Error, InvalidDescriptor, InvalidRequest, TooLarge
from face128.match_body.member_list import parse_list
from face128.match_body.parser import parse

INVALID: list[tuple[Any, str, str]] = [
    (7, "", "invalid_request"),
    ({"name": "nobody", "descriptor": GOOD}, ".regNo", "invalid_request"),
    ({"regNo": True, "descriptor": GOOD}, ".regNo", "invalid_request"),
    ({"regNo": 1, "name": 5, "descriptor": GOOD}, ".name", "invalid_request"),
    (member(2, lambda numbers: numbers[:127]), ".descriptor", "invalid_descriptor"),
    (member(2, lambda numbers: [*numbers[:127], [numbers[127]]]), ".descriptor", "invalid_descriptor"),
    (member(2, lambda numbers: as_base64([float("nan"), *numbers[1:]])), ".descriptor", "invalid_descriptor"),
    (member(2, lambda numbers: "not base64"), ".descriptor", "invalid_descriptor"),
    (member(2, lambda numbers: "[1, 2"), ".descriptor", "invalid_descriptor"),
    (member(2, model="insightface-x-00000000"), ".model", "model_mismatch"),
    ({"regNo": 3, "descriptors": [GOOD, PROBE, GOOD[:5]]}, ".descriptors[2]", "invalid_descriptor"),
    ({"regNo": 3, "descriptor": GOOD, "descriptors": 1}, ".descriptors", "invalid_descriptor"),
    ({"regNo": 3, "descriptors": "null"}, ".descriptors", "invalid_descriptor"),
    ({"regNo": 3, "descriptors": json.dumps([GOOD] * 100)}, ".descriptors", "invalid_descriptor"),  # too long as text
    ({"regNo": 3, "descriptors": as_object(GOOD)}, ".descriptors", "invalid_descriptor"),
    ({"regNo": 3, "descriptors": {"0": 1}}, ".descriptors", "invalid_descriptor"),
    ({"regNo": 3, "descriptors": {"dlib-resnet-v1": GOOD, "x": GOOD}}, ".descriptors", "model_mismatch"),
    ({"regNo": 3, "descriptors": {"dlib-resnet-v1+retail-0095": GOOD}}, ".descriptors", "model_mismatch"),
    ({"regNo": 3, "descriptors": {f"retail-{i:08}": RETAIL for i in range(16)}}, ".descriptors", "invalid_request"),
    ({"regNo": 3, "descriptors": {"retail-0095": GOOD}}, ".descriptors.retail-0095", "invalid_descriptor"),
    ({"regNo": 3, "descriptors": {"retail-0095": RETAIL[:255]}}, ".descriptors.retail-0095", "invalid_descriptor"),
    ({"regNo": 3, "descriptors": {"retail-0095": [[RETAIL]]}}, ".descriptors.retail-0095[0]", "invalid_descriptor"),
    (
        {"regNo": 3, "descriptors": {"retail-0095": [None, RETAIL, [*RETAIL[:255], [RETAIL[255]]]]}},
        ".descriptors.retail-0095[2]",
        "invalid_descriptor",
    ),
    (
        {"regNo": 3, "descriptors": {"retail-0095": as_base64([float("inf"), *RETAIL[1:]])}},
        ".descriptors.retail-0095",
        "invalid_descriptor",
    ),
    ({"regNo": 3, "descriptors": {"retail-0095": json.dumps([RETAIL] * 50)}}, ".descriptors.retail-0095",
     "invalid_descriptor"),
    ({"regNo": 3, "descriptor": RETAIL, "model": "retail-0095", "descriptors": {"dlib-resnet-v1": RETAIL}},
     ".descriptors.dlib-resnet-v1", "invalid_descriptor"),
]  # fmt: skip
TEXT_THAT_IS_NOT_UNICODE = [
    ({"regNo": 3, "name": "\ud800", "descriptor": GOOD}, ".name"),
    ({"regNo": "\udfff", "name": "x", "descriptor": GOOD}, ".regNo"),
]
VALID = [
    member(1),
    member("2", as_base64),
    member(3, as_object),
    member(4, json.dumps),
    member(4, lambda numbers: json.dumps(as_object(numbers))),
    {"regNo": 5, "descriptors": [PROBE, as_base64(GOOD)]},
    member(6, lambda _: None),
    member(7, lambda _: []),
    member(8, lambda _: ""),
    member(9, model="faceapi-resnet-v1"),
    {"regNo": 10, "descriptors": {"retail-0095": RETAIL, "dlib-resnet-v1": [None, PROBE]}},
    {"regNo": 11, "descriptor": GOOD, "descriptors": {"dlib-resnet-v1": as_base64(GOOD), "retail-0095": [RETAIL]}},
    {"regNo": 12, "descriptor": RETAIL, "model": "retail-0095"},
    {"regNo": 13, "descriptors": {}},
]


def read(members: list[Any], *, skip_invalid: bool = False) -> Any:
    return parse_list(json.dumps(members).encode(), DLIB, max_members=1000, skip_invalid=skip_invalid)


def same(one: MemberList, other: MemberList) -> bool:
    return same_members(one, other, precision=False)


@pytest.mark.parametrize("members", [[], VALID, VALID[:1] * 5, VALID[1:2] * 5, *([each] for each in VALID)])
def test_a_list_by_itself_is_read_as_inside_a_body(members: list[Any]) -> None:
    assert same(read(members), parse(ask(*members)).enrolled)
    assert same(read(members, skip_invalid=True), read(members))


def test_an_empty_descriptor_is_none_and_text_may_be_json() -> None:
    members = read(VALID[:9])
    assert members.owners.tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert np.array_equal(members.vectors[3], GOOD)
    assert np.array_equal(members.vectors[4], GOOD)


@pytest.mark.parametrize(("invalid", "field", "code"), INVALID)
def test_an_invalid_member_is_refused_or_left_out_and_named(invalid: Any, field: str, code: str) -> None:
    members = [VALID[0], VALID[1], invalid, VALID[5]]
    for text in (json.dumps(members), json.dumps(members, indent=1)):
        with pytest.raises(Face128Error) as refused:
            parse_list(text.encode(), DLIB, max_members=1000)
        assert (refused.value.code, refused.value.context["field"]) == (code, f"enrolled[2]{field}")
    rest = read(members, skip_invalid=True)
    assert same(rest, read([VALID[0], VALID[1], VALID[5]]))
    (skipped,) = rest.skipped
    assert (skipped.index, skipped.field, skipped.code) == (2, f"enrolled[2]{field}", code)
    assert skipped.reg_no == (invalid.get("regNo") if isinstance(invalid, dict) and field != ".regNo" else None)


@pytest.mark.parametrize(("invalid", "field"), TEXT_THAT_IS_NOT_UNICODE)
def test_a_member_with_text_that_is_not_unicode_is_left_out(invalid: Any, field: str) -> None:
    members = [VALID[0], invalid, VALID[1]]
    for text in (json.dumps(members).encode(), json.dumps(members, ensure_ascii=False).encode(errors="surrogatepass")):
        with pytest.raises(InvalidRequest):
            parse_list(text, DLIB, max_members=10)
        rest = parse_list(text, DLIB, max_members=10, skip_invalid=True)
        assert same(rest, read([VALID[0], VALID[1]]))
        assert [(each.index, each.field) for each in rest.skipped] == [(1, f"enrolled[1]{field}")]


def test_a_list_of_too_many_members_is_refused() -> None:
    in_two_models = [{"regNo": 1, "descriptors": {"dlib-resnet-v1": GOOD, "retail-0095": [RETAIL] * 1001}}]
    for many in (
        in_two_models,
        [{}] * 1001,
        [{"regNo": 1, "descriptor": None}] * 1001,
        [{"regNo": 1, "descriptors": [GOOD] * 1001}],
    ):
        with pytest.raises(TooLarge):
            read(many, skip_invalid=True)


def test_random_mixtures_keep_exactly_the_valid_members() -> None:
    chance = random.Random(1)
    for _ in range(300):
        members = [chance.choice([*VALID, chance.choice(INVALID)[0]]) for _ in range(chance.randrange(12))]
        valid = [each for each in members if each in VALID]
        rest = read(members, skip_invalid=True)
        assert same(rest, read(valid))
        assert [each.index for each in rest.skipped] == [i for i, each in enumerate(members) if each not in VALID]


def test_a_nested_descriptor_is_found_in_a_large_list() -> None:
    nested = [[number] for number in GOOD]
    members = [*(member(i) for i in range(500)), {"regNo": 500, "name": "x", "descriptor": nested}]
    with pytest.raises(InvalidDescriptor) as refused:
        read(members)
    assert refused.value.context == {"field": "enrolled[500].descriptor", "regNo": 500}
    assert len(read(members, skip_invalid=True).vectors) == 500
