"""Caches the latest member lists of /match, so that a body with one of them is not parsed again.

A backend sends the same members with every probe. The cache keeps the list's text with the parsed members. If the same
bytes come again, only the text around the list (the frame) is parsed. This is safe for two reasons:

- A body is P + M + S, where P ends with the bracket after ``"enrolled":`` and S begins with the closing bracket. P + S
  is a document with an empty list in this place, no backslash, and no other ``enrolled``. So whatever list elements M
  is, the body is that document with these members, provided that the list belongs to the root object.
- M was the complete content of one list in the body in which it came first. That body's root had exactly the fields of
  its P + S: if M had closed the list early, it would have had to open another one in another field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from sys import getsizeof
from threading import Lock

from face128.domain.decision_rule import Rule
from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import ModelCard
from face128.events import listener
from face128.match_body.json_document import OBJECTS, Body, SimdjsonError, parse_fast
from face128.match_body.parser import to_match_request

MAX_FRAME_BYTES = 64 * 1024  # before the list, and after it; a probe has about 3,000
MAX_CACHED_LISTS = 16

LIST_START = re.compile(rb'[{,]\s*"enrolled"\s*:\s*\[\s*(?=\{)')
LAST_MEMBER_END = re.compile(rb"\}(?=\s*\])")
LIST_END = re.compile(rb"\s*\]")


class _OtherModel(Exception):
    """The cached members were parsed for another model, so the list must be parsed again."""


@dataclass(frozen=True, eq=False)
class CachedList:
    """The text of a list, from the first member's brace to the last member's, and the parsed members."""

    text: memoryview
    members: MemberList
    card: ModelCard
    memory_bytes: int
    """Of the whole body, which ``text`` is a part of, and of the parsed members."""

    def request(self, before: bytes, after: bytes, rule: Rule) -> MatchRequest | None:
        """The request of a body that has this list between these texts; None if it has to be parsed as a whole.

        Raises the errors of ``parser.parse``.
        """

        def cached_members(card: ModelCard) -> MemberList:
            if card != self.card:
                raise _OtherModel
            return self.members

        frame = _frame(before, after)
        if frame is None:
            return None
        try:
            request = parse_fast(frame, lambda root: to_match_request(root, rule, cached_members))
        except (SimdjsonError, _OtherModel):
            return None
        # Otherwise the list belongs to an object inside the root.
        return request if request.enrolled is self.members else None


class ListCache:
    """The most recently used lists, up to ``max_bytes`` of memory in total. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lists: tuple[CachedList, ...] = ()  # the most recently used is the last
        self._lock = Lock()

    @property
    def lists(self) -> tuple[CachedList, ...]:
        """The cached lists, the most recently used last."""
        return self._lists

    def touch(self, cached: CachedList) -> None:
        """Count a hit, and make this list the most recently used."""
        listener().list_cache_lookup(hit=True)
        with self._lock:
            if cached in self._lists:
                self._lists = (*(each for each in self._lists if each is not cached), cached)

    def put(self, body: Body, request: MatchRequest) -> None:
        """Cache the list of a parsed body if it fits, evicting the least recently used. ``body`` must not change."""
        if request.enrolled is None:
            return
        listener().list_cache_lookup(hit=False)
        new = self._cached_list(body, request, request.enrolled)
        if new is None:
            return
        with self._lock:
            lists = [*self._lists, new]
            while len(lists) > MAX_CACHED_LISTS or sum(each.memory_bytes for each in lists) > self._max_bytes:
                del lists[0]
            self._lists = tuple(lists)

    def _cached_list(self, body: Body, request: MatchRequest, members: MemberList) -> CachedList | None:
        memory_bytes = getsizeof(body) + members.nbytes
        if memory_bytes > self._max_bytes:
            return None
        start_match = LIST_START.search(body, 0, MAX_FRAME_BYTES)
        ends = [each.end() for each in LAST_MEMBER_END.finditer(body, max(0, len(body) - MAX_FRAME_BYTES))]
        if start_match is None or not ends:
            return None
        start, end, text = start_match.end(), ends[-1], memoryview(body)
        frame = _frame(bytes(text[:start]), bytes(text[end:]))
        if frame is None or _root_fields(frame) != request.root_fields:
            return None
        return CachedList(text[start:end], members, request.card, memory_bytes)


def _frame(before: bytes, after: bytes) -> bytes | None:
    """The text around the members; None if it is not certain to be a document without them."""
    frame = before + after
    if len(after) > MAX_FRAME_BYTES or b"\\" in frame or frame.count(b"enrolled") != 1:
        return None
    return frame


def _root_fields(document: bytes) -> tuple[str, ...] | None:
    """The names of the root's fields; None if the root is no object."""
    try:
        return parse_fast(document, lambda root: tuple(root) if isinstance(root, OBJECTS) else None)
    except SimdjsonError:
        return None
