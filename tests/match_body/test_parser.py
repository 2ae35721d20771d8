from __future__ import annotations

import json
import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from dlib_truth import descriptors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from match_bodies import GOOD, as_base64, as_base64_url, as_object, ask, vector_of

from face128.domain import model_card
from face128.domain.members import MemberList
from face128.domain.model_card import DLIB, ModelCard
from face128.errors import BadRequest, Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch, TooLarge
from face128.match_body.parser import parse
from face128.matching.decision import decide


def read(body: bytes) -> MemberList:
    enrolled = parse(body).enrolled
    assert enrolled is not None
    return enrolled


def refusal(body: bytes, kind: type[Face128Error]) -> dict[str, Any]:
    with pytest.raises(Face128Error) as refused:
        parse(body)
    assert type(refused.value) is kind
    return refused.value.context


def test_a_request_becomes_arrays() -> None:
    request = parse(ask({"regNo": 1029, "name": "Vicky T", "descriptor": GOOD}, threshold=0.5))
    assert vector_of(request) == GOOD
    assert (request.card, request.thresholds) == (DLIB, {DLIB.name: 0.5})
    assert request.enrolled is not None
    assert (request.enrolled.reg_nos, request.enrolled.names) == ([1029], ["Vicky T"])
    assert request.enrolled.vectors.tolist() == [GOOD]
    assert request.enrolled.vectors.dtype == np.float64
    assert request.enrolled.owners.tolist() == [0]


def test_without_enrolled_the_gallery_is_meant_and_an_empty_list_means_nobody() -> None:
    assert parse(json.dumps({"descriptor": GOOD}).encode()).enrolled is None
    nobody = read(ask())
    assert nobody.vectors.shape == (0, 128)
    assert nobody.owners.shape == (0,)


reg_nos = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"))


@settings(deadline=None)
@given(st.lists(st.tuples(reg_nos, st.none() | st.text(st.characters(codec="utf-8"))), min_size=1))
def test_reg_nos_and_names_come_back_as_they_came(people: list[tuple[Any, Any]]) -> None:
    enrolled = read(ask(*({"name": name, "regNo": reg_no} for reg_no, name in people)))
    assert json.dumps(enrolled.reg_nos) == json.dumps([reg_no for reg_no, _ in people])
    assert enrolled.names == [name for _, name in people]


def test_members_without_a_descriptor_are_passed_over() -> None:
    enrolled = read(ask({"regNo": 1, "descriptor": None}, {"regNo": 2}, {"regNo": 3, "descriptors": []},
                        {"regNo": 4, "descriptors": None, "model": "x"}, {"regNo": 5, "descriptor": GOOD}))  # fmt: skip
    assert enrolled.owners.tolist() == [4]
    assert enrolled.reg_nos == [1, 2, 3, 4, 5]


def test_several_descriptors_of_a_member_are_rows_of_theirs() -> None:
    rows = [[*GOOD[:127], float(i)] for i in range(5)]
    members = [
        {"regNo": 1, "name": "a", "descriptor": rows[0]},
        {"regNo": 2, "descriptors": [rows[1], as_object(rows[2])]},
        {"regNo": 3, "descriptor": rows[3], "descriptors": [rows[4]]},
    ]
    enrolled = read(ask(*members))
    assert enrolled.vectors.tolist() == rows
    assert enrolled.owners.tolist() == [0, 1, 1, 2, 2]


def test_all_base64_stays_float32_and_a_mixture_is_widened_exactly() -> None:
    doubles = [[x + i for x in GOOD] for i in range(6)]
    singles = np.array(doubles, np.float32).astype(np.float64).tolist()
    both = [{"regNo": i, "name": "a", "descriptor": as_base64(row)} for i, row in enumerate(doubles)]
    enrolled = read(ask(*both))
    assert enrolled.vectors.dtype == np.float32
    assert enrolled.vectors.tolist() == singles
    for i in (0, 2, 3):
        both[i]["descriptor"] = doubles[i]
    enrolled = read(ask(*both))
    assert enrolled.vectors.dtype == np.float64
    assert enrolled.vectors.tolist() == [doubles[i] if i in (0, 2, 3) else singles[i] for i in range(6)]
    assert enrolled.owners.tolist() == [0, 1, 2, 3, 4, 5]


bad_numbers = st.sampled_from([None, True, "0.1", [0.1], [], [[0.1]], {"0": 0.1}, math.nan, math.inf, 10**400])
numbers = st.floats(-1e3, 1e3, width=32) | st.integers(-(2**70), 2**70)


@st.composite
def wire_descriptors(draw: Any) -> tuple[Any, list[float] | None]:
    """A descriptor in one of its wire forms, mostly valid, and its numbers: None if it is invalid."""
    meaning: list[Any] | None = [*GOOD[:126], draw(numbers), draw(numbers)]
    assert meaning is not None
    damage = draw(st.sampled_from(["none", "none", "number", "short", "long"]))
    if damage == "number":
        meaning[draw(st.integers(0, 127))] = draw(bad_numbers)
    elif damage != "none":
        meaning = meaning[:127] if damage == "short" else [*meaning, 0.5]
    form = draw(st.sampled_from([list, as_object, as_base64, as_base64_url]))
    if form in (as_base64, as_base64_url):
        if damage == "number":
            meaning = [x if isinstance(x, float) else math.nan for x in meaning]
        meaning = np.array(meaning, np.float32).astype(np.float64).tolist()
    wire = form(meaning)
    return wire, None if damage != "none" else [float(x) for x in meaning]


ways_of_writing = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(wire_descriptors(), min_size=1, max_size=4), ways_of_writing, st.booleans())
def test_exactly_the_good_descriptors_are_taken_and_the_first_bad_one_is_named(
    wires: list[tuple[Any, list[float] | None]], separators: tuple[str, str], in_lists: bool
) -> None:
    """JSON as Python writes it, with NaN and Infinity where there are any; lists must not be flattened."""
    members = [
        {"regNo": f"r{i}", "name": "[x]"} | ({"descriptors": [GOOD, wire]} if in_lists else {"descriptor": wire})
        for i, (wire, _) in enumerate(wires)
    ]
    body = json.dumps({"descriptor": GOOD, "enrolled": members}, separators=separators).encode()
    bad = [i for i, (_, meaning) in enumerate(wires) if meaning is None]
    if bad:
        field = f"enrolled[{bad[0]}].descriptor" + ("s[1]" if in_lists else "")
        assert refusal(body, InvalidDescriptor) == {"field": field, "regNo": f"r{bad[0]}"}
    else:
        vectors = read(body).vectors.astype(np.float64).tolist()
        assert (vectors[1::2] if in_lists else vectors) == [meaning for _, meaning in wires]


@pytest.mark.parametrize(
    ("form", "nan", "count"),
    [(list, math.nan, 10_000), (list, None, 10_000), (as_object, None, 500), (as_base64, math.nan, 10_000)],
)
def test_nan_in_member_17_of_many_is_named(form: Any, nan: float | None, count: int) -> None:
    members = [{"regNo": 1000 + i, "name": "x", "descriptor": form(GOOD)} for i in range(count)]
    members[17]["descriptor"] = form([*GOOD[:64], nan, *GOOD[65:]])
    assert refusal(ask(*members), InvalidDescriptor) == {"field": "enrolled[17].descriptor", "regNo": 1017}


@pytest.mark.parametrize("threshold", [0, -1, 2.000001, True, "0.38", [], {}, math.nan, math.inf, 10**400])
def test_a_threshold_is_a_number_above_0_and_up_to_2(threshold: Any) -> None:
    assert refusal(ask(threshold=threshold), InvalidRequest) == {"field": "threshold"}
    assert [parse(ask(threshold=t)).thresholds for t in (2, 0.38, 1e-9)] == [{DLIB.name: t} for t in (2.0, 0.38, 1e-9)]
    assert parse(ask(threshold=None)).thresholds == {}


@pytest.mark.parametrize("reg_no", [None, True, [1], {"a": 1}, math.nan, math.inf])
def test_a_reg_no_is_a_number_or_a_string_even_where_nobody_is_enrolled(reg_no: Any) -> None:
    member = {"regNo": reg_no, "name": "x", "descriptor": None}
    assert refusal(ask({"regNo": 1}, member), InvalidRequest) == {"field": "enrolled[1].regNo"}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"null", b"{", b"\xff", ask() + b"x", ask(more=math.nan)])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    assert refusal(body, BadRequest) == {}


def test_models_that_cannot_be_compared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    near = ModelCard("near", 128, "euclidean", 0.4, frozenset({DLIB.name}), "", "")
    wide = ModelCard("wide", 3, "cosine", 0.45, frozenset(), "", "")
    dlib = ModelCard(DLIB.name, 128, "euclidean", 0.38, frozenset({"near"}), "", "")
    for card in (near, wide, dlib):
        monkeypatch.setitem(model_card.CARDS, card.name, card)

    def member(model: Any, descriptor: Any = GOOD) -> dict[str, Any]:
        return {"regNo": 5, "name": "x", "descriptor": descriptor, "model": model}

    assert read(ask(member(DLIB.name), member("near"), member(None), model=DLIB.name)).descriptor_count == 3
    for model in ("wide", "nobody's", 7, {"a": 1}):
        place = {"field": "enrolled[1].model", "regNo": 5}
        assert refusal(ask(member(DLIB.name), member(model), model=DLIB.name), ModelMismatch) == place
    assert refusal(ask(model="nobody's"), InvalidRequest) == {"field": "model"}
    assert refusal(ask(model=["near"]), InvalidRequest) == {"field": "model"}
    request = parse(ask(member("wide", [1, 2, 3]), probe=[1, 2, 3], model="wide"))
    assert (request.card, vector_of(request)) == (wide, [1, 2, 3])
    assert refusal(ask(probe=GOOD, model="wide"), InvalidDescriptor) == {"field": "descriptor"}


def test_more_members_or_descriptors_than_allowed_are_too_many() -> None:
    two, one, none = {"regNo": 1, "descriptors": [GOOD, GOOD]}, {"regNo": 2, "descriptor": GOOD}, {"regNo": 3}
    assert parse(ask(two, none, one), max_members=3).enrolled is not None
    for members in ([two, one], [one, none, none], [{}, {}, {}], [None] * 3):
        with pytest.raises(TooLarge) as refused:
            parse(ask(*members), max_members=2)
        assert refused.value.context == {"field": "enrolled", "max_members": 2}


@pytest.mark.parametrize("empty", [b"{}", b'{"descriptor":null}', b"[]"])
@pytest.mark.parametrize("more", [b"1", b"1e999"], ids=["simdjson", "Python"])
def test_a_million_empty_members_are_refused_before_objects_are_made_for_them(empty: bytes, more: bytes) -> None:
    body = b'{"more":%b,"descriptor":%b,"enrolled":[' % (more, json.dumps(GOOD).encode())
    body += b",".join([empty] * 1_000_000) + b"]}"
    tracemalloc.start()
    with pytest.raises(TooLarge):
        parse(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * len(body)  # the text decoded, at most: a million objects take 64 MB


@pytest.mark.parametrize("place", ["probe", "member"])
def test_a_descriptor_as_text_of_nothing_but_lists_is_refused_before_objects_are_made(place: str) -> None:
    text = f"[{','.join(['[]'] * 1_000_000)}]"
    body = ask(probe=text) if place == "probe" else ask({"regNo": 1, "name": "x", "descriptor": text})
    tracemalloc.start()
    with pytest.raises(InvalidDescriptor):
        parse(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(body)  # the text, and its copies for the readers of the other forms


def test_unknown_fields_are_ignored_wherever_they_stand() -> None:
    junk = {"tags": ["[", [[1], "]"]], "photo": {"descriptor": [1], "regNo": [2]}, "né": None}
    member = {**junk, "name": "x", "descriptor": GOOD, "regNo": 7, "more": [[[]]]}
    enrolled = read(ask(member, member, more=junk))
    assert enrolled.vectors.tolist() == [GOOD, GOOD]


def test_threads_do_not_disturb_each_other() -> None:
    faces = [descriptors(name)[0].tolist() for name in ("obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg")]
    forms = (list, as_object, as_base64)

    def one(i: int) -> bool:
        members = [{"regNo": n, "name": str(n), "descriptor": forms[i % 3](faces[n % 3])} for n in range(60)]
        if i % 5 == 0:
            members[17]["descriptor"] = faces[0][:127]
            return refusal(ask(*members), InvalidDescriptor) == {"field": "enrolled[17].descriptor", "regNo": 17}
        return decide(parse(ask(*members, probe=faces[i % 3]))).answer() == {"regNo": i % 3, "name": str(i % 3)}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(90)))


def many(bad: Any, form: Any) -> list[dict[str, Any]]:
    """Uniform members, more than 256 KiB of numbers; one of them has ``bad`` as its descriptor."""
    members = [{"regNo": i, "name": f"Member {i}", "descriptor": form(GOOD)} for i in range(400)]
    members[300]["descriptor"] = bad
    return members


TEXT = as_base64(GOOD)


@pytest.mark.parametrize("probe", [GOOD, TEXT, as_object(GOOD)])
@pytest.mark.parametrize(
    ("form", "bad"),
    [
        *((list, bad) for bad in ([*GOOD[:127], [0.5]], [[0.5], *GOOD[1:]], [[], [0.5, 0.5], *GOOD[2:]], GOOD[:127])),
        *(
            (as_base64, bad)
            for bad in (
                TEXT[:-1] + "A",
                TEXT[:-1],
                TEXT + "=",
                TEXT[4:],
                "=" + TEXT[1:],
                TEXT[:100] + "=" + TEXT[101:],
                TEXT[:100] + "*" + TEXT[101:],
                TEXT.replace("+", "-").replace("/", "_") + "=",
                as_base64_url(GOOD)[:-1],
                as_base64_url([*GOOD[:127], math.nan]),
                TEXT[:100] + "\n" + TEXT[101:],
                TEXT[:100] + "é" + TEXT[101:],
                as_base64([*GOOD[:127], math.nan]),
            )
        ),
    ],
)
def test_one_bad_descriptor_among_many_is_named(form: Any, bad: Any, probe: Any) -> None:
    body = ask(*many(bad, form), probe=probe)
    assert refusal(body, InvalidDescriptor) == {"field": "enrolled[300].descriptor", "regNo": 300}


def test_texts_that_are_right_together_are_not_taken_for_right_ones() -> None:
    members = many(TEXT[:-4], as_base64)
    members[301]["descriptor"] = TEXT[-4:] + TEXT
    assert refusal(ask(*members), InvalidDescriptor) == {"field": "enrolled[300].descriptor", "regNo": 300}


@pytest.mark.parametrize("form", [list, as_base64])
def test_one_bad_name_or_number_among_many_is_named(form: Any) -> None:
    for field, bad in (("name", 7), ("name", []), ("regNo", True), ("regNo", None)):
        members = many(form(GOOD), form)
        members[300][field] = bad
        assert refusal(ask(*members), InvalidRequest)["field"] == f"enrolled[300].{field}"


@pytest.mark.parametrize("probe", [GOOD, TEXT])
@pytest.mark.parametrize("more", [{}, {"tags": []}, {"tags": ["x"]}])
def test_many_good_ones_are_taken_whatever_other_lists_there_are(probe: Any, more: Any) -> None:
    enrolled = read(ask(*({**each, **more} for each in many(GOOD, list)), probe=probe, **more))
    assert np.array_equal(enrolled.vectors, [GOOD] * 400)


@pytest.mark.parametrize("form", [list, as_base64])
def test_many_come_in_their_order(form: Any) -> None:
    first = [i / 1024 for i in range(600)]
    members = [{"regNo": i, "name": "x", "descriptor": form([number, *GOOD[1:]])} for i, number in enumerate(first)]
    enrolled = read(ask(*members))
    assert enrolled.vectors[:, 0].tolist() == first
    assert enrolled.owners.tolist() == enrolled.reg_nos == list(range(600))
