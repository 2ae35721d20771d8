"""A body of /match read in two halves, at each place where it could be cut."""

from __future__ import annotations

from collections.abc import Iterator

from face128 import halves
from face128.enrolled import MatchRequest
from face128.rules import THRESHOLD


def in_halves(body: bytes, max_members: int = 100_000) -> Iterator[MatchRequest | None]:
    """For each place: what the halves mean together, or None where the body is to be read in one piece."""
    for between in halves.BETWEEN.finditer(body, len(halves.BEGIN)):
        text = memoryview(bytearray(body))
        first = halves.first_half(text, between.start(1))
        assert text == body
        second = halves.second_half(text, between.end() - 1)
        yield halves.joined(first, second, max_members, THRESHOLD) if first and second else None
