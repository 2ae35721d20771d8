"""Many values, some hundreds in each statement: a database takes only so many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

MAX_STATEMENT_VALUES = 500


def in_blocks(values: Iterable[T]) -> Iterator[list[T]]:
    listed = list(values)
    return (listed[at : at + MAX_STATEMENT_VALUES] for at in range(0, len(listed), MAX_STATEMENT_VALUES))
