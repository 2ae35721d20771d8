from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face128.errors import BadRequest, InvalidRequest
from face128.match_body.json_document import has_nested_lists, parse, to_python

documents = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text('[]{}:, "\\x'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("[:x", max_size=3), inner, max_size=4),
    max_leaves=20,
)


def parsed(body: Any) -> Any:
    return parse(body, to_python)


@settings(deadline=None)
@given(documents | st.integers(-(10**30), 10**30) | st.lists(st.integers(2**63, 2**65)))
def test_a_document_is_what_json_says_it_is(document: Any) -> None:
    text = json.dumps(document).encode()
    for body in (text, bytearray(text), memoryview(text)):
        assert json.dumps(parsed(body)) == json.dumps(document)


NO_JSON = [b"", b" ", b"{", b"nul", b"{} {}", b"[1,]", b"01", b"[NaN]", b'{"a":-Infinity}', b"[" * 5000]
NO_UTF8 = [b'{"a":\xff}', b"\xff", '{"a":1}'.encode("utf-16")]


@pytest.mark.parametrize("body", [*NO_JSON, *NO_UTF8])
def test_what_is_no_json_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parsed(body)
    assert refused.value.context == {}


@pytest.mark.parametrize("digits", [5000, 309])
def test_an_integer_beyond_every_float_is_infinite(digits: int) -> None:
    assert parsed(b"[" + b"9" * digits + b", -" + b"9" * digits + b"]") == [math.inf, -math.inf]
    assert parsed(b"[" + b"9" * 308 + b"]") == [10**308 - 1]


@pytest.mark.parametrize("more", ["", ', "b": 99999999999999999999'], ids=["simdjson", "Python"])
def test_of_two_fields_of_one_name_the_first_counts(more: str) -> None:
    body = f'{{"a": 1, "a": 2{more}}}'.encode()
    assert parse(body, lambda root: root["a"]) == 1
    assert parsed(body)["a"] == 1


@pytest.mark.parametrize("more", ["1", "99999999999999999999"], ids=["simdjson", "Python"])
def test_a_byte_order_mark_is_skipped(more: str) -> None:
    assert parsed(b"\xef\xbb\xbf[%b]" % more.encode()) == [int(more)]


LARGE = b'{"a": 1, "b": "' + b"x" * 2**25 + b'"}'


def test_a_large_body_is_not_parsed_by_python() -> None:
    """Its Python objects could take a gigabyte."""
    big = b"99999999999999999999"
    assert parse(b'{"a": %b}' % big, lambda root: root["a"]) == int(big)
    assert parse(LARGE, lambda root: root["a"]) == 1
    with pytest.raises(BadRequest):
        parse(LARGE.replace(b"1", big), lambda root: root["a"])


def test_text_that_is_not_unicode_is_named_in_a_list_too() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(b'[{}, {"regNo": 7, "name": "\\ud83d"}]', to_python, root_name="enrolled")
    assert refused.value.context == {"field": "enrolled[1].name", "regNo": 7}


@pytest.mark.parametrize("bad", [b'"x\\ud83d"', b'"M\xfcller"'], ids=["half a pair", "no UTF-8"])
@pytest.mark.parametrize("descriptor", [json.dumps([0.1] * 128), f'"{"A" * 684}"'], ids=["numbers", "base64"])
def test_in_a_body_too_large_for_python_text_that_is_not_unicode_is_named(bad: bytes, descriptor: str) -> None:
    member = b'{"regNo":%d,"name":"x","descriptor":%b}'
    count = 2**25 // len(descriptor) + 1
    members = [member % (number, descriptor.encode()) for number in range(count)]
    members[-2] = members[-2].replace(b'"x"', bad)
    body = b'{"descriptor":%b,"enrolled":[%b]}' % (descriptor.encode(), b",".join(members))
    assert len(body) > 2**25
    with pytest.raises(InvalidRequest) as refused:
        parsed(body)
    assert refused.value.context == {"field": f"enrolled[{count - 2}].name", "regNo": count - 2}


# Large, or Python's parser would hide that simdjson refused to use a parser twice.
def test_a_root_that_is_still_referenced_does_not_break_the_next_request() -> None:
    held = []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError) as error:
            parse(b'{"a": [1, 2]}', lambda root: root["a"][0] / 0)
        held.append(error)
        assert parse(LARGE, lambda root: root["a"]) == 1


def test_documents_that_are_parsed_at_the_same_time_have_a_parser_each() -> None:
    assert parse(LARGE, lambda outer: parse(LARGE, lambda inner: outer["a"] + inner["a"])) == 2


def test_threads_parse_side_by_side() -> None:
    def one(i: int) -> bool:
        document = {"a": [i] * 500, "b": [{"c": str(i)}] * 50}
        body = json.dumps(document).encode()
        found = parse(body, lambda root: [to_python(root["a"]), *(m["c"] for m in root["b"])])
        return found == [[i] * 500] + [str(i)] * 50

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))


def lists_in_lists(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    direct = sum(isinstance(item, list) for item in inner) if isinstance(value, list) else 0
    return direct + sum(map(lists_in_lists, inner))


@settings(deadline=None)
@given(
    st.dictionaries(st.text("[:x", max_size=3), documents, min_size=1),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\t")]),
    st.sampled_from([None, 1]),
)
def test_no_list_inside_a_list_is_overlooked(document: Any, separators: tuple[str, str], indent: int | None) -> None:
    body = json.dumps(document, separators=separators, indent=indent).encode()
    nested = lists_in_lists(document)
    assert has_nested_lists(body, nested - 1) or nested == 0
    assert has_nested_lists(memoryview(body), nested - 1) or nested == 0


def test_lists_as_members_of_objects_are_no_lists_in_lists() -> None:
    document = {"a": [1, 2], "b": [{"c": [3], "tags": ["x"]}, {"c": []}]}
    for body in (json.dumps(document), json.dumps(document, separators=(",", ":")), json.dumps(document, indent=2)):
        assert not has_nested_lists(body.encode(), 0)
    assert has_nested_lists(b'{"a":[1,[2]]}', 0)
    assert not has_nested_lists(b'{"a":[1,[2]]}', 1)
