"""Two parts of one search at the same time, where a core is idle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from face128.settings import usable_cores

First = TypeVar("First")
Second = TypeVar("Second")


def side_by_side(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Both results; ``second`` runs in another thread if there is another core.

    The thread ends with the call (it takes 0.1 ms to start): a program may fork afterwards.
    """
    if usable_cores() == 1:
        return first(), second()
    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(second)
        return first(), other.result()
