"""Reads JSON with Python's parser, and refuses what no answer and no database can hold.

Python's parser takes half a surrogate pair (the escape d800 alone), which UTF-8 cannot express, and integers beyond
every float. It makes an object of each empty list, too, which takes thirty times the memory of its text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from face128.errors import BadRequest, InvalidRequest, TooLarge

MAX_INTEGER_DIGITS = 308  # a longer integer may exceed the largest float: it is read as infinite, as 1e309 is
MAX_CONTAINERS = 1_000_000  # lists and objects of one text
MAX_NAMED_CHARACTERS = 64  # of a field's name in an error

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Pairs = list[tuple[str, Any]]


def loads(
    source: bytes | bytearray | memoryview | str,
    *,
    any_text: bool = False,
    root: str = "body",
    parse_constant: Callable[[str], Any] | None = None,
    object_pairs_hook: Callable[[Pairs], dict[str, Any]] | None = None,
) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    ``any_text``: also take text that is not Unicode, for values that are checked one by one. ``root`` is the name of a
    document that is no object. A field that stands twice in one object is refused, unless ``object_pairs_hook`` decides
    otherwise.
    Raises BadRequest if it is not JSON, TooLarge for too many lists and objects, and InvalidRequest that names the
    field that stands twice or has text that is not Unicode.
    """
    text = source if isinstance(source, str) else _decode(source)
    if text.count("{") + text.count("[") > MAX_CONTAINERS:
        raise TooLarge(f"The JSON has more than {MAX_CONTAINERS} lists and objects.", max_containers=MAX_CONTAINERS)
    hook = object_pairs_hook or _unique_fields
    try:
        value = json.loads(text, parse_int=_parse_int, parse_constant=parse_constant, object_pairs_hook=hook)
        if not any_text and (_SURROGATE.search(text) or not is_unicode(text)):
            _refuse_bad_text(value if isinstance(value, dict) else {root: value})
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.") from None
    return value


def is_unicode(value: Any) -> bool:
    """Whether all text in a JSON value can be written in UTF-8. Raises RecursionError if it is too deep."""
    # In Python, so that other threads run meanwhile: the value may be a body of /match.
    if isinstance(value, dict):
        return all(map(is_unicode, value)) and all(map(is_unicode, value.values()))
    if isinstance(value, list):
        return all(map(is_unicode, value))
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    return True


def _decode(source: bytes | bytearray | memoryview) -> str:
    # Bytes that are not UTF-8 become surrogates, so that the field with them can be named.
    return str(source, "utf-8-sig", "surrogateescape")


def _refuse_bad_text(document: dict[str, Any]) -> None:
    """Raise InvalidRequest if text is not Unicode; ``field`` is one of the document, or of an element of its list.

    For example metadata, or enrolled[3].name, with the ``regNo`` of that member.
    """
    field, value = _first_bad(document.items())
    if field is None:
        return
    field, context = shortened(field), {}
    if isinstance(value, list) and not is_unicode(value):
        index, element = _first_bad(enumerate(value))
        field += f"[{index}]"
        if isinstance(element, dict):
            field += f".{shortened(_first_bad(element.items())[0])}"
            reg_no = element.get("regNo")
            if type(reg_no) in (int, str) and is_unicode(reg_no):
                context["regNo"] = reg_no
    raise InvalidRequest("The text has half of a surrogate pair, or bytes that are not UTF-8.", field=field, **context)


def _first_bad(items: Iterable[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The first key and value with text that is not Unicode; None and None if there is none."""
    return next(((key, value) for key, value in items if not is_unicode({key: value})), (None, None))


def shortened(field: str) -> str:
    """The name of a field that the caller chose, for an error."""
    return field[:MAX_NAMED_CHARACTERS].encode("utf-8", "replace").decode()


def _parse_int(digits: str) -> int | float:
    if len(digits.lstrip("-")) <= MAX_INTEGER_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf


def _unique_fields(pairs: Pairs) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidRequest("A field stands twice in one object.", field=shortened(name))
            seen.add(name)
    return fields
