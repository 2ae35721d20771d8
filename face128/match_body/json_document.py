"""A JSON document as a tree: simdjson's where it can, Python's where simdjson gives up.

simdjson makes no Python object before one is asked for, so a body of a million numbers is cheap. But it refuses a
whole document for one integer beyond 64 bits, one 1e400 or one NaN. Those get a second, slower look: the integer may be
a good regNo, and an error should name the member that has the NaN.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import simdjson

from face128.errors import BadRequest

T = TypeVar("T")
Body = bytes | bytearray | memoryview

OBJECTS = (simdjson.Object, dict)
ARRAYS = (simdjson.Array, list)

COLON, SPACE, BRACKET = b": ["
LONG = 256 * 1024  # bytes that numpy takes at once: the processor's cache holds them
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

# A parser keeps memory of some three times its largest document, and a new one costs half a parse in page faults.
KEPT_BYTES = 64 * 2**20
# Python's tree takes up to thirty times the memory of the document: enough for 10,000 members as numbers, no more.
SECOND_LOOK_BYTES = 32 * 2**20

_parsers: deque[simdjson.Parser] = deque(maxlen=4)


class Unreadable(Exception):
    """simdjson gives the document up."""


def read(body: Body, take: Callable[[Any], T]) -> T:
    """What ``take`` makes of the document's root, which lives only as long as the call. Thread-safe.

    Of two fields of one name the first counts. Raises BadRequest unless the body is one JSON document in UTF-8.
    """
    try:
        return read_at_once(body, take)
    except Unreadable:
        return _second_look(body, take)


def read_at_once(body: Body, take: Callable[[Any], T]) -> T:
    """As ``read``, without a second look. Raises Unreadable."""
    try:
        parser = _parsers.pop()
    except IndexError:
        parser = simdjson.Parser()
    try:
        root = parser.parse(body)
    except (ValueError, RuntimeError):
        raise Unreadable from None
    # Where take raises, the traceback holds on to the tree: its parser cannot be used again.
    result = take(root)
    del root  # before another thread may get the parser
    if len(body) <= KEPT_BYTES:
        _parsers.append(parser)
    return result


def plain(value: Any) -> Any:
    """The value as Python's own, whichever tree it stands in."""
    if isinstance(value, simdjson.Array):
        return value.as_list()
    if isinstance(value, simdjson.Object):
        fields = value.as_dict()
        # Of two fields of one name as_dict has the last.
        return fields if len(fields) == len(value) else {name: plain(value[name]) for name in fields}
    return value


def has_lists_in_lists(body: Body, known: int, lists: int = 0) -> bool:
    """Whether more than ``known`` lists may stand directly inside another list; if it says no, there are no more.

    ``lists`` are known to be there, those ``known`` among them: where there is no other, none stands where it should
    not. Else those "[" count that follow no colon (or colon and space); some of them stand in strings, or after other
    spaces.
    """
    if len(body) > LONG and _brackets(body) == lists:
        return False
    text = bytes(body) if isinstance(body, memoryview) else body
    at = text.find(b"[")  # memchr: four times as fast as count
    while at >= 0:
        if text[at - 1] != COLON and not (text[at - 1] == SPACE and text[at - 2] == COLON):
            known -= 1
            if known < 0:
                return True
        at = text.find(b"[", at + 1)
    return False


def _brackets(body: Body) -> int:
    text = np.frombuffer(body, np.uint8)
    return sum(int(np.count_nonzero(text[at : at + LONG] == BRACKET)) for at in range(0, len(text), LONG))


def _second_look(body: Body, take: Callable[[Any], T]) -> T:
    if len(body) > SECOND_LOOK_BYTES:
        raise BadRequest("The body is not JSON, or has a number that is none.")
    foreign: list[str] = []

    def number(token: str) -> float:
        foreign.append(token)
        return float(token)

    try:
        text = str(body, "utf-8-sig")  # simdjson passes over a byte order mark, too
        root = json.loads(text, parse_constant=number, object_pairs_hook=_first_wins)
        if _SURROGATE.search(text):
            # Half a pair (Python takes the escape) could never be sent back: encoding it raises ValueError.
            json.dumps(root, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.") from None
    result = take(root)
    if foreign:
        raise BadRequest("NaN and Infinity are no numbers in JSON.")
    return result


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))
