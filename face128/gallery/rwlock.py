"""A lock that many readers share and a writer has alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """A waiting writer goes before new readers: a change is never put off by a stream of searches."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._readers = 0
        self._idle = threading.Condition()

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._turn, self._idle:
            self._readers += 1
        try:
            yield
        finally:
            with self._idle:
                self._readers -= 1
                self._idle.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._turn:
            with self._idle:
                self._idle.wait_for(lambda: self._readers == 0)
            yield
