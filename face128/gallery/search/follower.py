"""What is kept in this process equal to the tables: before each search, the changes since the last one are read."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import sqlalchemy as sa

from face128.gallery.search.rwlock import ReadWriteLock, locked
from face128.gallery.storage.database import fetch_all
from face128.process_memory import OverwritingFreedMemory


class GalleryChanged(Exception):
    """What a process keeps is that of a later version of the gallery than the transaction that asks sees."""


class Follower(ABC):
    """Thread-safe: ``_lock`` is held while changes are brought in. A connection sees the gallery at one version."""

    def __init__(self) -> None:
        self._version = -1
        """The gallery's version that it has reached; -1: nothing has been read."""
        self._lock = ReadWriteLock()
        self._following = threading.Lock()

    @property
    def in_use(self) -> bool:
        """Whether there has been a search; nothing is read before."""
        return self._version >= 0

    def catch_up(self, connection: sa.Connection) -> int:
        """Bring it to the version of the gallery that this transaction sees, and return that version."""
        version, complete_from = fetch_all(connection, "SELECT version, complete_from FROM state")[0]
        if version > self._version:
            with locked(self._following), OverwritingFreedMemory():
                if version > self._version:  # else another thread has done it
                    known = self._version if self._version >= complete_from else None
                    apply = self._changes(connection, known, version)
                    with self._lock.writing():
                        apply()
                        self._version = version
        return int(version)

    @contextmanager
    def at(self, version: int) -> Iterator[None]:
        """Nothing changes in this block. Raises GalleryChanged unless it is at this version of the gallery."""
        with self._lock.reading():
            if self._version != version:
                raise GalleryChanged()
            yield

    def _changes(self, connection: sa.Connection, known: int | None, now: int) -> Callable[[], None]:
        """Read what has changed above the version ``known``, and return what brings it in; searches go on meanwhile.

        ``now`` is the version that the transaction sees.
        """
        return partial(self._update, connection, known)

    @abstractmethod
    def _update(self, connection: sa.Connection, known: int | None) -> None:
        """Read what has changed above the version ``known``, or everything. After an error it is called again."""
