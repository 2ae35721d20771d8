"""A large body of /match in two halves, which two processes read at once.

simdjson keeps the GIL while it parses: two threads would take as long as one. The body is cut at a comma between what
looks like two members, ``},{``. The first half is all before the comma and ``]}``; the second ``{"enrolled":[`` and all
from the brace after the comma on. Why that is safe:

- Where simdjson takes the first half, the cut was in no string, which would be open; and it was in an array that is a
  value of the root object, since ``]}`` has closed the one and the other. The array is the value of the root's last
  field. It must be the first and only ``enrolled``.
- Where simdjson takes the second half too, what follows the comma are the array's other members, its end, the root's
  other fields and its end.

So the whole is a document, with the members of the first half and then those of the second, and the fields of both: of
two of one name the first counts. Wherever there is any doubt, or any error, the body is read in one piece, which is the
definition (enrolled.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.engines import DLIB
from face128.enrolled import Enrolled, MatchRequest, RegNo, lists_besides, read_members, request
from face128.errors import Face128Error
from face128.json_tree import Unreadable, plain, read_at_once
from face128.rows import Rows
from face128.rows import joined as joined_rows
from face128.rules import Rule

SHARE = 0.52  # of the text that the first half is, about: the other has more to do afterwards
WINDOW = 256 * 1024  # bytes in which a place to cut is looked for: some hundred members as numbers
FIELDS = ("descriptor", "threshold", "model", "decision")
# Nobody's model: members that name one are foreign to it. The dimension is that of every model but InsightFace's.
ANY = replace(DLIB, name="")

END, BEGIN = b"]}", b'{"enrolled":[{'
BETWEEN = re.compile(rb"\}[ \t\r\n]*(,)[ \t\r\n]*\{")


@dataclass(frozen=True)
class Half:
    """What half a body says."""

    names: list[str]
    """The fields of its root, in their order."""
    fields: dict[str, Any]
    """Those of FIELDS among them, as Python's own objects."""
    reg_nos: list[RegNo]
    people: list[str | None]
    """The members' names."""
    kind: str
    """Of the numbers in its rows: as rows.py has it."""
    rows: Sequence[bytes | memoryview]
    """The descriptors' bytes, one or several in each part."""
    owners: npt.NDArray[np.int64]
    """(rows,) the index of each row's member within this half, ascending."""


def place_to_cut(text: memoryview) -> tuple[int, int] | None:
    """Where the comma is, and where the member after it begins."""
    start = int(len(text) * SHARE)
    between = BETWEEN.search(text, start, start + WINDOW)
    return between and (between.start(1), between.end() - 1)


def first_half(text: memoryview, comma: int) -> Half | None:
    """What stands before the comma; None where there is any doubt.

    The half's end is written over the text after it while it is read: a copy took 7 % of the time.
    """
    end = comma + len(END)
    after = bytes(text[comma:end])
    text[comma:end] = END
    try:
        return _half(text[:end], lambda names: names.index("enrolled") == len(names) - 1)
    finally:
        text[comma:end] = after


def second_half(text: memoryview, member: int) -> Half | None:
    """What stands from this member on; None where there is any doubt. Its begin is written over the text before it."""
    start = member + 1 - len(BEGIN)
    text[start : member + 1] = BEGIN
    return _half(text[start:], lambda names: "enrolled" not in names[1:])


def joined(first: Half, second: Half, max_members: int, rule: Rule) -> MatchRequest | None:
    """What the whole body asks for; None where there is any doubt."""
    owners = np.concatenate([first.owners, second.owners + len(first.reg_nos)])
    if len(owners) > max_members or first.kind != second.kind:
        return None
    vectors = joined_rows([*first.rows, *second.rows], first.kind, ANY.dimension)
    enrolled = Enrolled(first.reg_nos + second.reg_nos, first.people + second.people, vectors, owners)
    try:
        asked = request({"enrolled": [], **second.fields, **first.fields}, rule, lambda _: enrolled)
    except Face128Error:
        return None
    names = (*first.names, *second.names[1:])
    return replace(asked, names=names) if asked.card.dimension == ANY.dimension else None


def _half(text: memoryview, usual: Callable[[list[str]], bool]) -> Half | None:
    """``usual`` says so of the names of the root's fields."""

    def take(root: Any) -> Half | None:
        names = list(root)
        if not usual(names):
            return None
        rows = Rows(ANY.dimension)
        reg_nos, people, foreign = read_members(root["enrolled"], ANY, rows)
        in_one_form = rows.in_one_form()
        if foreign or in_one_form is None or rows.doubtful(text, lists_besides(root)):
            return None
        fields = {name: plain(root[name]) for name in FIELDS if name in root}
        return Half(names, fields, reg_nos, people, *in_one_form)

    try:
        return read_at_once(text, take)
    except (Unreadable, Face128Error, ValueError):
        return None
