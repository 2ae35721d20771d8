"""Keeps the member lists that came last to /match, so that a body with one of them is not parsed again.

A backend sends the same members with every probe. The list's text is kept with the parsed members. Where the same bytes
come again, only the text around the list is parsed. This is safe for two reasons:

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
from typing import Any

import numpy as np

from face128.domain.decision_rule import Rule
from face128.domain.members import Enrolled, MatchRequest
from face128.domain.model_card import ModelCard
from face128.events import watcher
from face128.match_body.json_document import LONG, OBJECTS, Body, Unreadable, read_at_once
from face128.match_body.parser import request

MAX_FRAME_BYTES = 64 * 1024  # before a list, and after it; a probe has some three thousand
MAX_CACHED_LISTS = 16
PREFIX_BYTES = 4096  # compared first: lists in base64 often have the same length, but differ here

LIST_START = re.compile(rb'[{,]\s*"enrolled"\s*:\s*\[\s*(?=\{)')
LAST_MEMBER_END = re.compile(rb"\}(?=\s*\])")
LIST_END = re.compile(rb"\s*\]")


class _OtherModel(Exception):
    """The request takes the list's descriptors for another model's: the list has to be parsed again."""


@dataclass(frozen=True, eq=False)
class CachedList:
    """The text of a list, from the first member's brace to the last one's, and the members that it holds."""

    text: memoryview
    enrolled: Enrolled
    card: ModelCard
    memory_bytes: int
    """Of the body that ``text`` lies in, and of the parsed members."""


class ListCache:
    """The lists that came last, within ``max_bytes`` of memory together. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lists: tuple[CachedList, ...] = ()  # the most recently used is the last
        self._lock = Lock()

    def get(self, body: Body, rule: Rule) -> MatchRequest | None:
        """The request of a body whose list is kept; None for any other. Raises as ``enrolled.parse``."""
        lists = self._lists
        start_match = LIST_START.search(body, 0, MAX_FRAME_BYTES) if lists else None
        if start_match is None:
            return None
        start, text = start_match.end(), memoryview(body)
        for cached in lists:
            end = start + len(cached.text)
            if (
                LIST_END.match(body, end)
                and _equal(text[start:end], cached.text)
                and (found := _request(_frame(text, start, end), cached, rule))
            ):
                self._touch(cached)
                watcher().listed(known=True)
                return found
        return None

    def put(self, body: Body, asked: MatchRequest) -> None:
        """Keep the list of a body that has been parsed, if there is room; the least recently used make way.

        ``body`` belongs to the cache from now on: nobody may change it.
        """
        if asked.enrolled is None:
            return
        watcher().listed(known=False)
        new = self._cached_list(body, asked, asked.enrolled)
        if new is None:
            return
        with self._lock:
            lists = [*self._lists, new]
            while len(lists) > MAX_CACHED_LISTS or sum(each.memory_bytes for each in lists) > self._max_bytes:
                del lists[0]
            self._lists = tuple(lists)

    def _touch(self, cached: CachedList) -> None:
        with self._lock:
            if cached in self._lists:
                self._lists = (*(each for each in self._lists if each is not cached), cached)

    def _cached_list(self, body: Body, asked: MatchRequest, enrolled: Enrolled) -> CachedList | None:
        memory_bytes = getsizeof(body) + enrolled.nbytes
        if memory_bytes > self._max_bytes:
            return None
        start_match = LIST_START.search(body, 0, MAX_FRAME_BYTES)
        ends = [each.end() for each in LAST_MEMBER_END.finditer(body, max(0, len(body) - MAX_FRAME_BYTES))]
        if start_match is None or not ends:
            return None
        start, end, text = start_match.end(), ends[-1], memoryview(body)
        frame = _frame(text, start, end)
        if frame is None or _root_fields(frame) != asked.names:
            return None
        return CachedList(text[start:end], enrolled, asked.card, memory_bytes)


def _request(frame: bytes | None, cached: CachedList, rule: Rule) -> MatchRequest | None:
    def members(card: ModelCard) -> Enrolled:
        if card != cached.card:
            raise _OtherModel
        return cached.enrolled

    if frame is None:
        return None
    try:
        asked = read_at_once(frame, lambda root: request(root, rule, members))
    except (Unreadable, _OtherModel):
        return None
    return asked if asked.enrolled is cached.enrolled else None  # else the list belonged to an object inside the root


def _frame(text: memoryview, start: int, end: int) -> bytes | None:
    """The text before and after the members; None where it is not certain to be a document without them."""
    if len(text) - end > MAX_FRAME_BYTES:
        return None
    frame = b"".join([text[:start], text[end:]])
    if b"\\" in frame or frame.count(b"enrolled") != 1:
        return None
    return frame


def _root_fields(document: bytes) -> tuple[str, ...] | None:
    """The names of the root's fields; None where the root is no object."""

    def take(root: Any) -> tuple[str, ...] | None:
        return tuple(root) if isinstance(root, OBJECTS) else None

    try:
        return read_at_once(document, take)
    except Unreadable:
        return None


def _equal(one: memoryview, other: memoryview) -> bool:
    """Whether two texts of one length are equal. Python itself compares memoryviews a byte at a time."""
    if bytes(one[:PREFIX_BYTES]) != bytes(other[:PREFIX_BYTES]):
        return False
    a, b = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)
    return all(np.array_equal(a[at : at + LONG], b[at : at + LONG]) for at in range(0, len(a), LONG))
