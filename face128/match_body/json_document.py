"""Parses JSON with simdjson, and with Python's parser where simdjson gives up.

simdjson creates Python objects only on access, so a body of a million numbers is cheap. But it refuses a whole document
because of one integer beyond 64 bits, one 1e400, one NaN, or one text that is not Unicode. Python's slower parser then
reads it: the integer may be a valid regNo, and an error should name the member that has the NaN or the text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import simdjson

from face128.domain import strict_json
from face128.domain.descriptors import is_list_of_descriptors
from face128.domain.model_card import MAX_MODELS
from face128.errors import BadRequest

T = TypeVar("T")
Body = bytes | bytearray | memoryview

OBJECTS = (simdjson.Object, dict)
ARRAYS = (simdjson.Array, list)

COLON, SPACE = b": "
LARGE_BODY_BYTES = 256 * 1024  # in a larger body, counting all brackets first saves time
PIECE_BYTES = 256 * 1024
_DESCRIPTOR = re.compile(rb'\[[-+0-9.eE,\s]+\]|"[A-Za-z0-9+/=]{400,}"')

# A parser keeps about three times the memory of its largest document; a new one costs half a parse in page faults.
MAX_REUSED_PARSER_BYTES = 64 * 2**20
# Python's objects take up to thirty times the memory of the document: this is enough for 10,000 members as numbers.
MAX_PYTHON_PARSE_BYTES = 32 * 2**20

_free_parsers: deque[simdjson.Parser] = deque(maxlen=4)


class SimdjsonError(Exception):
    """simdjson cannot parse the document."""


def parse(body: Body, convert: Callable[[Any], T], *, any_text: bool = False, root_name: str = "body") -> T:
    """The result of ``convert`` for the document's root, which is only valid during the call. Thread-safe.

    Of two fields with one name the first counts. ``any_text``: ``convert`` checks text and numbers, and decides which
    of them matter. ``root_name``: how errors name a root that is a list. Raises BadRequest unless the body is one JSON
    document in UTF-8, and what strict_json.loads raises.
    """
    try:
        return parse_fast(body, convert)
    except SimdjsonError:
        return _parse_with_python(body, convert, any_text, root_name)


def parse_fast(body: Body, convert: Callable[[Any], T]) -> T:
    """Like ``parse``, but with simdjson only. Raises SimdjsonError."""
    try:
        parser = _free_parsers.pop()
    except IndexError:
        parser = simdjson.Parser()
    try:
        root = parser.parse(body)
    except (ValueError, RuntimeError):
        raise SimdjsonError from None
    # If convert raises, the traceback holds the root: this parser cannot be used again.
    result = convert(root)
    del root  # before another thread gets the parser
    if len(body) <= MAX_REUSED_PARSER_BYTES:
        _free_parsers.append(parser)
    return result


def to_python(value: Any) -> Any:
    """The value as Python's own types, from either parser."""
    if isinstance(value, simdjson.Array):
        return value.as_list()
    if isinstance(value, simdjson.Object):
        fields = value.as_dict()
        if len(fields) < len(value):  # as_dict keeps the last of two fields with one name
            pairs: list[Any] = [*value.items()]
            fields |= dict(reversed(pairs))
        return fields
    return value


def several_to_python(value: Any) -> Any:
    """As ``to_python``, of an object or a list with several descriptors: in each the first of two fields counts too."""
    if isinstance(value, simdjson.Object) and len(value) <= MAX_MODELS:  # looking up a name takes longer among many
        return {name: _list_to_python(value[name]) for name in dict.fromkeys(value)}
    return _list_to_python(value)


def _list_to_python(value: Any) -> Any:
    if isinstance(value, simdjson.Array) and is_list_of_descriptors(value):
        return [to_python(each) for each in value]
    return to_python(value)


def has_nested_lists(body: Body, known_nested: int, known_lists: int = 0) -> bool:
    """Whether more than ``known_nested`` lists may be direct elements of a list. False is certain.

    A large body that has exactly ``known_lists`` brackets (which include the known nested ones) has no other list.
    Otherwise counts each "[" that follows neither a colon nor a colon and a space: also some in strings, or after
    other white space.
    """
    text = bytes(body) if isinstance(body, memoryview) else body
    if len(text) > LARGE_BODY_BYTES and _count_brackets(text) == known_lists:
        return False
    at = text.find(b"[")
    while at >= 0:
        if text[at - 1] != COLON and not (text[at - 1] == SPACE and text[at - 2] == COLON):
            known_nested -= 1
            if known_nested < 0:
                return True
        at = text.find(b"[", at + 1)
    return False


def _count_brackets(text: bytes | bytearray) -> int:
    count, at = 0, text.find(b"[")  # memchr: five times as fast as count
    while at >= 0:
        count, at = count + 1, text.find(b"[", at + 1)
    return count


def _parse_with_python(body: Body, convert: Callable[[Any], T], any_text: bool, root_name: str) -> T:
    if len(body) > MAX_PYTHON_PARSE_BYTES:
        # Without its descriptors it is small enough to find text that is not Unicode, and to name the member.
        small = b"".join(
            # In pieces, so that other threads run between them. What a piece cuts in two stays as it is.
            _DESCRIPTOR.sub(b"0", body[at : at + PIECE_BYTES])
            for at in range(0, len(body), PIECE_BYTES)
        )
        if len(small) <= MAX_PYTHON_PARSE_BYTES:
            strict_json.loads(small, root=root_name, object_pairs_hook=_first_field_wins)
        raise BadRequest("The body is not JSON, or has a number that takes more than 64 bits.")
    constants: list[str] = []

    def constant(token: str) -> float:
        constants.append(token)
        return float(token)

    root = strict_json.loads(
        body, any_text=any_text, root=root_name, parse_constant=constant, object_pairs_hook=_first_field_wins
    )
    result = convert(root)  # may raise a more precise error than this one
    if constants and not any_text:
        raise BadRequest("NaN and Infinity are no numbers in JSON.")
    return result


def _first_field_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields |= dict(reversed(pairs))  # in the document's order: an error names the first bad field
    return fields
