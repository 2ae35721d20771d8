"""Lets photos run side by side as far as there is memory for all of them; the others wait for their turn."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from face128.errors import OutOfMemory
from face128.memory_limit import this_process
from face128.photos.memory import UNKNOWN_MEMORY, Grant, asking

T = TypeVar("T")

WAIT_S = 30.0  # for a photo's turn; each photo before it ends within FACE128_PHOTO_SECONDS
POLL_S = 0.05  # memory that other processes free is not announced


class MemoryBudget:
    """Grants memory in the order in which it is asked for, by what is free at that moment. Thread-safe.

    A photo that needs more than is free runs when it is the only one: the estimates are upper bounds, and most photos
    need far less. What a photo in work has allocated already counts twice, as used and as granted.
    """

    def __init__(self, free_bytes: Callable[[int], int | None] | None = None) -> None:
        self._free_bytes = free_bytes or this_process().free_bytes
        self._changed = threading.Condition()
        self._waiting: deque[Claim] = deque()
        self._granted: dict[Claim, Grant] = {}
        self._most_free_bytes = 0

    def call(self, job: Callable[..., T], *args: Any) -> T:
        """Run a job in this thread; its photo waits for memory."""
        with Claim(self) as claim:
            token = asking.set(claim.take)
            try:
                return job(*args)
            finally:
                asking.reset(token)

    def take(self, claim: Claim) -> Grant:
        """Wait for a claim's turn. Raises OutOfMemory after WAIT_S."""
        deadline = time.monotonic() + WAIT_S
        with self._changed:
            self._granted.pop(claim, None)  # of the job's photo before: waiting with it could wait for itself
            self._waiting.append(claim)
            try:
                while (grant := self._grant(claim)) is None:
                    if time.monotonic() > deadline:
                        raise OutOfMemory()
                    self._changed.wait(POLL_S)
                self._granted[claim] = grant
                return grant
            finally:
                self._waiting.remove(claim)
                self._changed.notify_all()

    def release(self, claim: Claim) -> None:
        with self._changed:
            self._granted.pop(claim, None)
            self._changed.notify_all()

    def _grant(self, claim: Claim) -> Grant | None:
        if self._waiting[0] is not claim or not all(grant.reserved for grant in self._granted.values()):
            return None
        needed = claim.byte_count + sum(each.byte_count for each in self._granted)
        free = self._free_bytes(needed)
        if free is None:
            free = UNKNOWN_MEMORY
        self._most_free_bytes = max(self._most_free_bytes, free)
        fits = needed <= free
        return Grant(fits, self._most_free_bytes) if fits or not self._granted else None


class Claim:
    """What one job has of the budget, until the block ends. A new claim of the job replaces the one before."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.byte_count = 0

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.release(self)

    def take(self, byte_count: int) -> Grant:
        self.byte_count = byte_count
        return self._budget.take(self)
