"""The body of a request to /match while it arrives.

A body whose list is cached is not stored: the list's bytes are compared as they come, and only the text around it is
kept. This saves the memory of the body, and the time to write it and to read it again.
"""

from __future__ import annotations

from face128.domain.decision_rule import Rule
from face128.domain.members import MatchRequest
from face128.events import stage
from face128.match_body.list_cache import LIST_END, LIST_START, MAX_FRAME_BYTES, CachedList, ListCache

PREFIX_BYTES = 4096  # of a list, before it is looked for: lists in base64 often have one length, but differ here


class IncomingBody:
    """Takes the chunks of one body in their order. Belongs to one request."""

    def __init__(self, cache: ListCache) -> None:
        self._cache = cache
        self._stored = bytearray()  # without the bytes that equal the cached list's
        self._rest: list[bytes] = []  # what arrives after that, once it is certain that no cached list comes
        self._rest_bytes = 0
        self._searching = True
        self._list_start = 0
        self._cached: CachedList | None = None
        self._equal = 0  # bytes of the list that equal the cached list's
        self._tried: list[CachedList] = []

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return len(self._stored) + self._rest_bytes + self._equal

    def append(self, chunk: bytes) -> None:
        """Store the chunk, or compare it with the cached list."""
        if self._cached is None:
            if self._searching:
                self._stored += chunk
                self._search()
            else:
                self._rest.append(chunk)
                self._rest_bytes += len(chunk)
            return
        expected = self._cached.text[self._equal : self._equal + len(chunk)]
        if chunk.startswith(expected):  # memcmp; comparing memoryviews would go byte by byte
            self._equal += len(expected)
            self._stored += chunk[len(expected) :]
            if self._list_may_end():
                return
        else:
            self._stored += chunk
        self._store_compared()
        self._search()

    def cached_request(self, rule: Rule, skip_invalid: bool = False) -> MatchRequest | None:
        """The request, if its list is cached; ``rule`` applies if the body names none. Raises as ``parser.parse``."""
        if self._searching:
            self._search(complete=True)
        cached, start = self._cached, self._list_start
        if cached is None or self._equal < len(cached.text) or not LIST_END.match(self._stored, start):
            return None
        before, after = bytes(self._stored[:start]), bytes(self._stored[start:])
        with stage("parse"):
            for same in (cached, *(each for each in self._cache.lists if _same_text_for_another_model(each, cached))):
                if request := same.request(before, after, rule, skip_invalid):
                    self._cache.touch(same)
                    return request
        return None

    def whole(self) -> bytes:
        """All bytes of the body, which are not kept here as well."""
        if self._cached is not None:
            self._store_compared()
        whole = b"".join([self._stored, *self._rest])
        self._stored, self._rest = bytearray(), []
        return whole

    def _search(self, complete: bool = False) -> None:
        """Look for a cached list that begins as the list in ``_stored`` does, and go on comparing with it."""
        lists = [each for each in reversed(self._cache.lists) if each not in self._tried]
        start_match = LIST_START.search(self._stored, 0, MAX_FRAME_BYTES)
        if lists and not complete and start_match is None and len(self._stored) < MAX_FRAME_BYTES:
            return
        start = self._list_start = start_match.end() if start_match else len(self._stored)
        arrived = len(self._stored) - start
        if lists and not complete and start_match and arrived < PREFIX_BYTES:
            return
        self._searching = False
        for cached in lists if start_match else ():
            equal = min(arrived, len(cached.text))
            if self._stored.startswith(cached.text[:equal], start):
                self._cached, self._equal = cached, equal
                del self._stored[start : start + equal]
                if self._list_may_end():
                    return
                self._store_compared()

    def _list_may_end(self) -> bool:
        """Whether what follows the compared list is its closing bracket, as far as it has arrived."""
        following = self._stored[self._list_start : self._list_start + 64].lstrip()
        return not following or following.startswith(b"]")

    def _store_compared(self) -> None:
        """Put the bytes that were compared back into ``_stored``, and try no more with this cached list."""
        cached = self._cached
        assert cached is not None
        self._cached = None
        self._tried.append(cached)
        self._stored[self._list_start : self._list_start] = cached.text[: self._equal]
        self._equal = 0


def _same_text_for_another_model(one: CachedList, other: CachedList) -> bool:
    return one.card != other.card and len(one.text) == len(other.text) and bytes(one.text) == bytes(other.text)
