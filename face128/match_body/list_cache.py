"""Caches the latest member lists of /match, so that a body with one of them is not parsed again; and uploaded lists.

A backend sends the same members with every probe. The cache keeps the list's text with the parsed members. If the same
bytes come again, only the text around the list (the frame) is parsed. This is safe for two reasons:

- A body is P + M + S, where P ends with the bracket after ``"enrolled":`` and S begins with the closing bracket. P + S
  is a document with an empty list in this place, no backslash, and no other ``enrolled``. So whatever list elements M
  is, the body is that document with these members, provided that the list belongs to the root object.
- M was the complete content of one list in the body in which it came first. That body's root had exactly the fields of
  its P + S: if M had closed the list early, it would have had to open another one in another field.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from sys import getsizeof
from threading import Lock
from time import monotonic

from face128.domain.decision_rule import Rule
from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import ModelCard
from face128.errors import TooLarge, UnknownList
from face128.events import listener
from face128.match_body.json_document import OBJECTS, Body, SimdjsonError, parse_fast
from face128.match_body.parser import to_match_request
from face128.match_body.uploaded_list import UploadedList

MAX_FRAME_BYTES = 64 * 1024  # before the list, and after it; a probe has about 3,000
MAX_CACHED_LISTS = 16  # of requests
MAX_UPLOADED_LISTS_PER_OWNER = 1000

LIST_START = re.compile(rb'[{,]\s*"enrolled"\s*:\s*\[\s*(?=\{)')
LAST_MEMBER_END = re.compile(rb"\}(?=\s*\])")
LIST_END = re.compile(rb"\s*\]")


class _OtherModel(Exception):
    """The cached members were parsed for another model, so the list must be parsed again."""


@dataclass(eq=False)
class CachedList:
    """The text of a list, from the first member's brace to the last member's, and the parsed members."""

    text: memoryview
    members: MemberList
    card: ModelCard
    memory_bytes: int
    """Of the whole body, which ``text`` is a part of, and of the parsed members."""
    last_used_s: float = 0.0
    """On the cache's clock."""

    def request(self, before: bytes, after: bytes, rule: Rule, skip_invalid: bool) -> MatchRequest | None:
        """The request of a body that has this list between these texts; None if it has to be parsed as a whole.

        Raises the errors of ``parser.parse``.
        """
        if self.members.skipped and not skip_invalid:
            return None

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
    """The lists of recent requests, and the uploaded ones, in at most ``max_bytes`` of memory. Thread-safe.

    A list goes if it was not used for ``max_idle_s``. If there is no room, the owner of the most memory loses the list
    that they have not used for the longest time: one client cannot push out the lists of all others.
    """

    def __init__(self, max_bytes: int, max_idle_s: float = math.inf, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._max_idle_s = max_idle_s
        self._clock = clock
        self._lists: tuple[CachedList, ...] = ()  # the most recently used is the last, here and below
        self._uploads: dict[tuple[str, str], UploadedList] = {}
        self._lock = Lock()

    @property
    def lists(self) -> tuple[CachedList, ...]:
        """The cached lists of requests, the most recently used last."""
        return self._lists

    def touch(self, cached: CachedList) -> None:
        """Count a hit, and make this list the most recently used."""
        listener().list_cache_lookup(hit=True)
        with self._lock:
            if cached in self._lists:
                cached.last_used_s = self._clock()
                self._lists = (*(each for each in self._lists if each is not cached), cached)

    def put(self, body: Body, request: MatchRequest) -> None:
        """Cache the list of a parsed body if it fits. ``body`` must not change."""
        if request.enrolled is None or "enrolled" not in request.root_fields:
            return
        listener().list_cache_lookup(hit=False)
        new = self._cached_list(body, request, request.enrolled)
        if new is None:
            return
        with self._lock:
            new.last_used_s = self._clock()
            self._lists = (*self._lists, new)[-MAX_CACHED_LISTS:]
            self._make_room()

    def uploaded(self, owner: str, digest: str) -> UploadedList:
        """The uploaded list with this digest, which counts as used now. Raises UnknownList."""
        with self._lock:
            self._drop_idle()
            upload = self._uploads.pop((owner, digest), None)
            if upload is not None:
                upload.last_used_s = self._clock()
                self._uploads[owner, digest] = upload
        listener().list_cache_lookup(hit=upload is not None)
        if upload is None:
            raise UnknownList()
        return upload

    def has_upload(self, owner: str, digest: str) -> bool:
        with self._lock:
            self._drop_idle()
            return (owner, digest) in self._uploads

    def put_upload(self, upload: UploadedList) -> None:
        """Cache an uploaded list. Raises TooLarge if it can never fit."""
        if upload.memory_bytes > self._max_bytes:
            raise TooLarge("The list does not fit in FACE128_LIST_MEMORY.", max_bytes=self._max_bytes)
        with self._lock:
            upload.last_used_s = self._clock()
            self._uploads.pop((upload.owner, upload.digest), None)
            self._uploads[upload.owner, upload.digest] = upload
            own = [key for key in self._uploads if key[0] == upload.owner]
            for key in own[:-MAX_UPLOADED_LISTS_PER_OWNER]:
                del self._uploads[key]
            self._make_room()

    def make_room(self) -> None:
        """Evict lists until the rest fits: an uploaded list has been parsed for another model."""
        with self._lock:
            self._make_room()

    def drop_upload(self, owner: str, digest: str) -> None:
        """Raises UnknownList."""
        with self._lock:
            if self._uploads.pop((owner, digest), None) is None:
                raise UnknownList()
            self._report_size()

    def drop_idle(self) -> None:
        """Drop the lists that were not used for ``max_idle_s``. Lookups do so too; this frees the memory in time."""
        with self._lock:
            self._drop_idle()

    def _drop_idle(self) -> None:
        oldest = self._clock() - self._max_idle_s
        # Only the first of each can be the oldest: this runs for every /match that names a list.
        first: list[CachedList | UploadedList] = [*self._lists[:1], *islice(self._uploads.values(), 1)]
        if any(each.last_used_s < oldest for each in first):
            self._lists = tuple(each for each in self._lists if each.last_used_s >= oldest)
            self._uploads = {key: each for key, each in self._uploads.items() if each.last_used_s >= oldest}
            self._report_size()

    def _make_room(self) -> None:
        used: Counter[str | None] = Counter({None: sum(each.memory_bytes for each in self._lists)})
        for upload in self._uploads.values():
            used[upload.owner] += upload.memory_bytes
        while used.total() > self._max_bytes:
            owner = max(used, key=used.__getitem__)
            if owner is None:
                used[None] -= self._lists[0].memory_bytes
                self._lists = self._lists[1:]
            else:
                evicted = self._uploads.pop(next(key for key in self._uploads if key[0] == owner))
                used[owner] -= evicted.memory_bytes
        self._report_size()

    def _report_size(self) -> None:
        entries = self._entries()
        listener().list_cache_size(len(entries), sum(each.memory_bytes for each in entries))

    def _entries(self) -> list[CachedList | UploadedList]:
        return [*self._lists, *self._uploads.values()]

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
