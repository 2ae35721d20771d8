"""halves.py: wherever a body is cut, its halves mean together what enrolled.py reads in one piece, or nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from halving import in_halves
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_enrolled import GOOD, as_base64, as_object, ask

from face128 import halves
from face128.enrolled import MatchRequest, parse
from face128.errors import Face128Error

PROBE = [0.5, *GOOD[1:]]
TRAP = '"},{"regNo":1},\\" , {"enrolled":[{'
FORMS = (list, as_object, as_base64)


def the_same(one: MatchRequest, other: MatchRequest) -> bool:
    assert one.enrolled is not None
    assert other.enrolled is not None
    a, b = one.enrolled, other.enrolled
    arrays = [(one.probe, other.probe), (a.vectors, b.vectors), (a.owners, b.owners)]
    return (
        (one.card, one.threshold, one.rule, one.names) == (other.card, other.threshold, other.rule, other.names)
        and repr((a.reg_nos, a.names, a.foreign)) == repr((b.reg_nos, b.names, b.foreign))
        and all((x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()) for x, y in arrays)
    )


def cut(body: bytes, **limits: int) -> list[bool]:
    """For each place whether the halves were taken; they then mean the same as the whole."""
    found = list(in_halves(body, **limits))
    try:
        whole = parse(body, **limits)
    except Face128Error:
        assert not any(found), body
    else:
        assert all(together is None or the_same(together, whole) for together in found), body
    return [together is not None for together in found]


def member(reg_no: Any, form: Any = list, **more: Any) -> dict[str, Any]:
    return {"regNo": reg_no, "name": f"Member {reg_no}", "descriptor": form(GOOD), **more}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n\t", " : ")])
def test_what_is_usual_is_taken_at_every_place(form: Any, separators: tuple[str, str]) -> None:
    for more in ({}, {"threshold": 0.5}, {"model": "faceapi-resnet-v1"}, {"more": [{}, 1]}):
        document = json.loads(ask(*(member(i, form) for i in range(5)), probe=PROBE, **more))
        body = json.dumps(document, separators=separators).encode()
        assert cut(body) == [True] * 4, more
        swapped = json.dumps(dict(reversed(document.items())), separators=separators).encode()
        assert cut(b"\xef\xbb\xbf" + swapped) == [True] * 4, more


def test_members_without_a_descriptor_or_with_several_are_taken_too() -> None:
    several = {"regNo": "a", "descriptors": [GOOD, PROBE], "name": None}
    assert cut(ask(member(1), {"regNo": 2, "descriptor": None}, several, member(4))) == [True] * 3
    assert cut(ask(several, several), max_members=4) == [True]
    assert cut(ask(several, several), max_members=3) == [False]


def test_a_name_that_looks_like_a_place_to_cut_is_none() -> None:
    # The text of the name has three of them, escaped as JSON has it.
    body = ask(member(1), {**member(2), "name": TRAP + "},{"}, member(3)).replace(b'\\"},{\\"', b"},{")
    taken = cut(body)
    assert (taken[0], taken[-1], any(taken[1:-1])) == (True, True, False)


@pytest.mark.parametrize(
    "body",
    [
        ask(member(1), member(2)) + b"x",
        ask(member(1), member(2)) + b"]}",
        ask(member(1), member(2))[:-1],
        ask(member(1), member(2))[:-2],
        ask(member(1), member(2))[1:],
        # What one half lacks the other has too much of.
        b'{"descriptor":%b,"enrolled":[[{"regNo":1},{"regNo":2}]}' % json.dumps(GOOD).encode(),
        b'{"descriptor":%b,"enrolled":[{"regNo":1},{"regNo":2}]]}' % json.dumps(GOOD).encode(),
        b'{"descriptor":%b,"enrolled":[{"a":[{"regNo":1},{"regNo":2}]}' % json.dumps(GOOD).encode(),
        b'{"descriptor":%b,"enrolled":[{"regNo":1}},{"regNo":2}]}' % json.dumps(GOOD).encode(),
        b'{"descriptor":%b,"enrolled":[{"regNo":1},{"regNo":2}]},{"regNo":3}]}' % json.dumps(GOOD).encode(),
        ask(member(1), {**member(2), "descriptor": [*GOOD[:127], [0.5]]}),
        ask({**member(1), "descriptor": [*GOOD[:127], float("nan")]}, member(2)),
        ask(member(1), {**member(2), "descriptor": GOOD[:127]}),
        ask(member(1), member(True)),
        ask(member(1), member(2), threshold=7),
        ask(member(1), member(2), probe=None),
        ask(member(1), member(2), probe=[0.5] * 512, model="insightface-x-12345678"),
        ask(member(1), {**member(2), "model": "nobody's"}),
    ],
)
def test_a_body_that_is_refused_is_refused_in_one_piece(body: bytes) -> None:
    with pytest.raises(Face128Error):
        parse(body)
    assert not any(cut(body))


@pytest.mark.parametrize(
    "body",
    [
        ask(member(2**70), member(2)),  # Python's reader has to look
        ask(member(1), member(2, as_base64)),
        ask(member(1), {**member(2), "model": "faceapi-resnet-v1"}),
        ask({**member(1), "model": "dlib-resnet-v1"}, member(2)),
        ask(member(1), member(2)).replace(b'"enrolled"', b'"enrolled": [], "enrolled"'),
        ask(member(1), more=[{}, {}]).replace(b'"name"', b'"x"'),
    ],
)
def test_what_is_unusual_is_read_in_one_piece(body: bytes) -> None:
    parse(body)
    assert not any(cut(body))


def test_the_first_of_two_fields_counts_in_whichever_half_it_is() -> None:
    other = json.dumps(PROBE).encode()
    body = ask(member(1), member(2))[:-1]
    assert cut(body + b',"descriptor":%b,"threshold":0.7,"threshold":0.1}' % other) == [True]
    assert cut(body + b',"enrolled":[{"regNo":7},{"regNo":8}]}') == [False, False]


def test_the_place_to_cut_is_near_the_middle_or_nowhere() -> None:
    body = ask(*(member(i) for i in range(40)))
    place = halves.place_to_cut(memoryview(body))
    assert place is not None
    comma, member_ = place
    assert abs(comma / len(body) - halves.SHARE) < 0.1
    assert body[comma - 1 : member_ + 1] == b"}, {"
    far = b" " * 10**6 + body + b" " * 9 * 10**6
    assert halves.place_to_cut(memoryview(far)) is None
    assert [halves.place_to_cut(memoryview(text)) for text in (b"", b"{", ask(member(1)))] == [None] * 3


names = st.text('x},{[]:" \\', max_size=12) | st.sampled_from([TRAP, "é", "\ud800"]) | st.none() | st.just(7)
reg_nos = st.integers(-5, 5) | st.sampled_from([2**63, 2**64, 10**30, 1.5, "a", True, None])
unfit = [[*GOOD[:127], [0.5]], [[1.0], *GOOD[1:]], [*GOOD[:127], float("nan")], GOOD[:127], "AAAA"]
described = st.sampled_from([*(form(GOOD) for form in FORMS), PROBE, None, *unfit])
junk = st.recursive(names, lambda inner: st.lists(st.dictionaries(names.map(str), inner, max_size=2), max_size=3))
fields = {"regNo": reg_nos, "name": names, "descriptor": described}
members = st.fixed_dictionaries(
    fields,
    optional={
        "descriptors": st.lists(described, max_size=2),
        "model": st.sampled_from(["dlib-resnet-v1", "faceapi-resnet-v1", "x", None]),
        "more": junk,
    },
)
usual = st.fixed_dictionaries({"regNo": st.integers(), "name": names.map(str), "descriptor": st.just(GOOD)})
roots = st.lists(
    st.tuples(st.sampled_from(["more", "threshold", "enrolled", "descriptor", "model"]), junk)
    | st.tuples(st.just("enrolled"), st.lists(members, max_size=5))
    | st.tuples(st.just("enrolled"), st.lists(usual, max_size=5))
    | st.tuples(st.just("descriptor"), st.just(GOOD))
    | st.tuples(st.just("threshold"), st.sampled_from([0.5, 2, 3])),
    max_size=5,
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(roots, st.sampled_from([(",", ":"), (" , ", " : ")]), st.booleans(), st.sampled_from(["", "]", "}", "]}", " x"]))
def test_any_body_cut_anywhere(root: list[tuple[str, Any]], separators: tuple[str, str], bom: bool, more: str) -> None:
    comma, colon = separators
    text = comma.join(json.dumps(name) + colon + json.dumps(value, separators=separators) for name, value in root)
    cut(b"\xef\xbb\xbf" * bom + ("{" + text + "}" + more).encode())


def test_rows_of_both_halves_are_not_confused() -> None:
    body = ask(*({**member(i), "descriptor": [i / 8, *GOOD[1:]]} for i in range(6)))
    for together in in_halves(body):
        assert together is not None
        assert together.enrolled is not None
        assert np.array_equal(together.enrolled.vectors[:, 0], np.arange(6) / 8)
        assert together.enrolled.owners.tolist() == list(range(6))
