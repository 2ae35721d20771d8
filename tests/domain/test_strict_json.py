"""strict_json.py: what Python's JSON parser takes, but no answer and no database can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face128.domain.strict_json import MAX_CONTAINERS, is_unicode, loads
from face128.errors import BadRequest, InvalidRequest, TooLarge

characters = st.characters(exclude_categories=[]) | st.sampled_from("\ud800\udbff\udc00\udfff😀")
documents = st.recursive(
    st.none() | st.integers() | st.text(characters, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(characters, max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "metadata", "\ud800", "enrolled"]), documents), st.booleans())
def test_a_document_is_read_or_the_field_that_is_not_unicode_is_named(document: Any, escaped: bool) -> None:
    text = json.dumps(document, ensure_ascii=escaped)
    meaning = json.loads(text)  # the escapes of two halves in a row are one character
    try:
        json.dumps(meaning, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        with pytest.raises(InvalidRequest) as refused:
            loads(text)
        json.dumps(refused.value.body(), ensure_ascii=False).encode()
        root = refused.value.context["field"].partition("[")[0]
        assert not is_unicode({name: value for name, value in meaning.items() if name.replace("\ud800", "?") == root})
        assert loads(text, any_text=True) == meaning
    else:
        assert loads(text) == loads(text.encode()) == meaning


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"name":"\\ud83d"}', {"field": "name"}),
        (b'{"name":"M\xfcller"}', {"field": "name"}),
        (b'{"name":"\xed\xa0\xbd"}', {"field": "name"}),
        (b'{"a":"\\ud83d\\ude00","metadata":{"a":["\\ude00"]}}', {"field": "metadata"}),
        (b'{"metadata":{"\\ud800":1}}', {"field": "metadata"}),
        (b'{"\\ud800":1}', {"field": "?"}),
        (b'{"images":["a","\\ud800"]}', {"field": "images[1]"}),
        (b'["\\ud800"]', {"field": "body[0]"}),
        (b'{"enrolled":[{},{"regNo":7,"name":"\\ud800"}]}', {"field": "enrolled[1].name", "regNo": 7}),
        (b'{"enrolled":[{"regNo":"a","tags":[["\\ud800"]]}]}', {"field": "enrolled[0].tags", "regNo": "a"}),
        (b'{"enrolled":[{"regNo":"\\ud800"}]}', {"field": "enrolled[0].regNo"}),
        (b'{"%b":"\\ud800"}' % (b"x" * 99), {"field": "x" * 64}),
        (b'{"name":1,"a":{"b":1,"name":2,"b":3}}', {"field": "b"}),
        (b'{"\\ud800":1,"\\ud800":1}', {"field": "?"}),
    ],
)
def test_the_field_is_named(text: bytes, place: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        loads(text)
    assert refused.value.context == place


def test_what_only_looks_like_half_a_pair_is_taken() -> None:
    document = {"a": "\\ud800", "b": "😀\ufffd\uffff", "c": "\x00"}
    assert loads(json.dumps(document)) == document
    assert loads(b"\xef\xbb\xbf" + json.dumps(document, ensure_ascii=False).encode()) == document


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"{", b"", '{"a":1}'.encode("utf-16"), b"[\xff]"])
def test_what_is_no_json_is_a_bad_request(text: bytes) -> None:
    with pytest.raises(BadRequest):
        loads(text)


@pytest.mark.parametrize("empty", ["[]", "{}"])
def test_a_text_of_nothing_but_lists_is_too_large(empty: str) -> None:
    assert len(loads(f"[{','.join([empty] * 1000)}]")) == 1000
    with pytest.raises(TooLarge):
        loads(f"[{','.join([empty] * MAX_CONTAINERS)}]")
