"""A lock that many readers share and a writer has alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from face128.errors import NotReady

LOCK_TIMEOUT_S = 4.0  # a database that hangs holds a request for no longer
BUSY = "The gallery is busy. Try again soon."


class ReadWriteLock:
    """A waiting writer goes before new readers: a stream of searches cannot delay a change.

    Raises NotReady where the lock is not free within LOCK_TIMEOUT_S.
    """

    def __init__(self) -> None:
        self._entry = threading.Lock()
        self._readers = 0
        self._reader_left = threading.Condition()

    @contextmanager
    def reading(self) -> Iterator[None]:
        with locked(self._entry), self._reader_left:
            self._readers += 1
        try:
            yield
        finally:
            with self._reader_left:
                self._readers -= 1
                self._reader_left.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with locked(self._entry), self._reader_left:
            if not self._reader_left.wait_for(lambda: self._readers == 0, LOCK_TIMEOUT_S):
                raise NotReady(BUSY)
            yield


@contextmanager
def locked(lock: threading.Lock) -> Iterator[None]:
    """Hold the lock. Raises NotReady where it is not free within LOCK_TIMEOUT_S."""
    if not lock.acquire(timeout=LOCK_TIMEOUT_S):
        raise NotReady(BUSY)
    try:
        yield
    finally:
        lock.release()
