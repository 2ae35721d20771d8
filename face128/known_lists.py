"""Lists of members that came before. A body of /match with one of them is not parsed again.

A backend sends the same members with every probe. The text of a list is kept with what it means, and where it comes
again, byte for byte, only what stands around it is read. Why that is safe:

- A body is P + M + S, where P ends with the bracket after ``"enrolled":`` and S begins with the closing one. P + S is
  a document with an empty list there, and with no backslash and no other ``enrolled``. So whatever elements of a list M
  is, the body is that document with these members; and where its root has the field, it is this one.
- M was elements of a list, and all of one, in the body in which it came first. The root of that body had the fields of
  its P + S and no others: if M had closed the list, it would have had to begin another one, in another field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from face128.bodies import Memory
from face128.engines import ModelCard
from face128.enrolled import Enrolled, MatchRequest, request
from face128.json_tree import LONG, OBJECTS, Unreadable, read_at_once
from face128.rules import Rule
from face128.watching import watcher

AROUND = 64 * 1024  # bytes that may stand before a list, and after it: a probe has some three thousand
MOST = 16  # lists
SKIM = 4096  # bytes, by which most lists of one length differ: those in base64 often have the same

BEGIN = re.compile(rb'[{,]\s*"enrolled"\s*:\s*\[\s*(?=\{)')
END = re.compile(rb"\}(?=\s*\])")
CLOSED = re.compile(rb"\s*\]")


class _Other(Exception):
    """The list would mean something else here: its descriptors are taken to be another model's."""


@dataclass(eq=False)
class _Known:
    text: memoryview
    enrolled: Enrolled
    card: ModelCard
    memory: Memory
    length: int
    """Of the body in ``memory``."""
    taken: int
    """Bytes of memory, of the text and of what it means."""
    users: int = 0
    """Who looks at the text at the moment."""


class KnownLists:
    """The lists that came last, in so many bytes of memory together at most. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._known: list[_Known] = []  # the one that came last is the last
        self._lock = Lock()

    def read(self, text: memoryview, rule: Rule) -> MatchRequest | None:
        """What this body asks for; None where it has another list. Raises as ``enrolled.parse``."""
        begin = BEGIN.search(text, 0, AROUND) if self._known else None
        if begin is None:
            return None
        start = begin.end()
        with self._candidates(text, start) as candidates:
            for known in candidates:
                end = start + len(known.text)
                if _equal(text[start:end], known.text) and (asked := _request(_around(text, start, end), known, rule)):
                    return asked
        return None

    def keep(self, memory: Memory, length: int, asked: MatchRequest) -> list[tuple[Memory, int]]:
        """Keep the list of the body of this length in ``memory``, unless it is known; what memory is free then."""
        if asked.enrolled is None:
            return [(memory, length)]
        with self._lock:
            known = next((each for each in self._known if each.enrolled is asked.enrolled), None)
            if known is not None:
                self._known.remove(known)
                self._known.append(known)
        watcher().listed(known=known is not None)
        new = self._new(memory, length, asked, asked.enrolled) if known is None else None
        if new is None:
            return [(memory, length)]
        free = []
        with self._lock:
            self._known.append(new)
            while len(self._known) > MOST or sum(known.taken for known in self._known) > self._most_bytes:
                oldest = self._known.pop(0)
                if not oldest.users:  # else it goes when they have done
                    oldest.text.release()
                    free.append((oldest.memory, oldest.length))
        return free

    def _new(self, memory: Memory, length: int, asked: MatchRequest, enrolled: Enrolled) -> _Known | None:
        if length > self._most_bytes:
            return None
        text = memoryview(memory.body(length))
        begin = BEGIN.search(text, 0, AROUND)
        ends = [each.end() for each in END.finditer(text, max(0, length - AROUND))]
        if begin is None or not ends:
            return None
        start, end = begin.end(), ends[-1]
        around = _around(text, start, end)
        if around is None or _names(around) != asked.names:
            return None
        taken = memory.taken(length) + enrolled.nbytes
        if taken > self._most_bytes:
            return None
        return _Known(text[start:end], enrolled, asked.card, memory, length, taken)

    @contextmanager
    def _candidates(self, text: memoryview, start: int) -> Iterator[list[_Known]]:
        """The lists that have the right length for a body in which theirs would begin at ``start``."""
        with self._lock:
            candidates = [known for known in self._known if CLOSED.match(text, start + len(known.text))]
            for known in candidates:
                known.users += 1
        try:
            yield candidates
        finally:
            with self._lock:
                for known in candidates:
                    known.users -= 1


def _request(around: bytes | None, known: _Known, rule: Rule) -> MatchRequest | None:
    def members(card: ModelCard) -> Enrolled:
        if card != known.card:
            raise _Other
        return known.enrolled

    if around is None:
        return None
    try:
        asked = read_at_once(around, lambda root: request(root, rule, members))
    except (Unreadable, _Other):
        return None
    return asked if asked.enrolled is known.enrolled else None  # another object than the root may have had the list


def _around(text: memoryview, start: int, end: int) -> bytes | None:
    """What stands before the members and after them; None where it is not sure to be a document without them."""
    if len(text) - end > AROUND:
        return None
    around = b"".join([text[:start], text[end:]])
    if b"\\" in around or around.count(b"enrolled") != 1:
        return None
    return around


def _names(document: bytes) -> tuple[str, ...] | None:
    """The fields of the root; None where it has none."""

    def take(root: Any) -> tuple[str, ...] | None:
        return tuple(root) if isinstance(root, OBJECTS) else None

    try:
        return read_at_once(document, take)
    except Unreadable:
        return None


def _equal(one: memoryview, other: memoryview) -> bool:
    """Of one length. Python itself compares memoryviews a byte at a time."""
    if bytes(one[:SKIM]) != bytes(other[:SKIM]):
        return False
    a, b = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)
    return all(np.array_equal(a[at : at + LONG], b[at : at + LONG]) for at in range(0, len(a), LONG))
