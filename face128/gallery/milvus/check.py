"""Whether Milvus has what the table has, and what is done where it has not.

Counts and a sample are compared without any lock: Milvus differs from the table only while ``state.indexed`` is behind
``state.version``, or after a loss. What looks wrong is compared again, and mended, in writing transactions of a block
of faces each: so others wait for a moment, and of several processes one mends, and the next finds nothing to do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.events import listener
from face128.gallery.milvus.collections import Key, MilvusCollections
from face128.gallery.milvus.index import MilvusIndex
from face128.gallery.milvus.server import MilvusServer
from face128.gallery.milvus.truth import MilvusTruth, read_vectors_of
from face128.gallery.rows.all_collections import as_collection
from face128.gallery.search.index import Ids
from face128.gallery.search.rwlock import locked
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import state

log = logging.getLogger("face128")

SAMPLE_ROWS = 500  # of each name, whose vectors are compared at each check
BLOCK_ROWS = 500  # in one writing transaction
NAMED_IDS = 10  # in the log and in /ready
QUIET_ATTEMPTS = 3  # to compare counts without the lock, while others change the gallery
QUIET_WAIT_S = 0.2
SAME = 1e-6  # in each number: float32's rounding
KINDS = ("lost", "surplus", "changed")


class MilvusCheck:
    """Thread-safe; one check or rebuild runs at a time. ``catch_up`` brings Milvus to the table's version."""

    def __init__(
        self,
        database: Database,
        server: MilvusServer,
        collections: MilvusCollections,
        catch_up: Callable[[sa.Connection], None],
    ) -> None:
        self._database, self._server, self._collections, self._catch_up = database, server, collections, catch_up
        self._truth = MilvusTruth()
        self._one = threading.Lock()
        self._random = np.random.default_rng()
        self._unreadable: dict[Key, set[int]] = {}
        """Faces that the table has and nobody can read: of an encrypted gallery, whose key is destroyed."""
        self.doubted = threading.Event()
        """Set where a check should come at once."""
        self._mended = dict.fromkeys(KINDS, 0)
        self._checked_at: str | None = None
        self._last_mended: dict[str, Any] | None = None
        self._mending = False

    def doubt(self) -> None:
        self.doubted.set()

    def told(self) -> dict[str, Any]:
        """For operators."""
        told: dict[str, Any] = {"index": self._collections.index_type, "mending": self._mending}
        told |= {"checked_at": self._checked_at, "mended": dict(self._mended)}
        return told | ({"last_mended": self._last_mended} if self._last_mended else {})

    def sizes(self, collection: str) -> dict[str, int]:
        with self._database.reading() as connection:
            self._truth.catch_up(connection)
        keys = [key for key in self._truth.names() if key[0] == collection]
        return {key[1]: self._count(key) for key in keys}

    def quick(self) -> None:
        """Compare the counts, and a sample of the vectors. Mend what differs."""
        with self._alone():
            self.doubted.clear()
            for key in self._truth.names():
                self._collections.forget(key)  # another process may have changed what is behind the alias
            for key in self._differing():
                self._mend(key, self._compared_ids(key))
            for key in self._truth.names():
                wrong = self._wrong_in_sample(key)
                if len(wrong):
                    self._mend(key, np.union1d(wrong, self._compared_ids(key)))
            self._checked_at = datetime.now(UTC).isoformat(timespec="seconds")

    def everything(self, index_type: str) -> None:
        """Compare all ids, and the type of the index. Mend what differs, and give up what nobody finished."""
        with self._alone():
            with self._database.reading() as connection:
                self._truth.catch_up(connection)
            for key in self._truth.names():
                self._mend(key, self._compared_ids(key))
                index = self._collections.index(key)
                if index is not None and index.index_type != index_type:
                    log.info("Milvus: %s gets the index %s instead of %s", index.name, index_type, index.index_type)
                    self._rebuild(key)
                self._collections.drop_abandoned(key)
            self._checked_at = datetime.now(UTC).isoformat(timespec="seconds")

    def rebuild_all(self) -> None:
        """Build each collection anew, beside the one that is searched, and let it take its place."""
        with self._alone():
            with self._database.reading() as connection:
                self._truth.catch_up(connection)
            for key in self._truth.names():
                self._rebuild(key)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self._one), self._server.answering():
            yield

    def _differing(self) -> list[Key]:
        """The names whose numbers differ."""
        for _ in range(QUIET_ATTEMPTS):
            before = self._settled()
            wrong = self._wrong_counts()
            if not wrong or (before is not None and before == self._settled()):
                return wrong
            time.sleep(QUIET_WAIT_S)
        with self._database.writing() as writer:  # for a moment: two numbers of each name
            self._catch_up(writer)
            self._truth.catch_up(writer)
            return self._wrong_counts()

    def _settled(self) -> int | None:
        """The version of the gallery that Milvus has, too; None if Milvus is behind."""
        with self._database.reading() as connection:
            now = connection.execute(sa.select(state.c.version, state.c.indexed)).one()
            self._truth.catch_up(connection)
        return int(now.version) if now.version == now.indexed else None

    def _wrong_counts(self) -> list[Key]:
        return [key for key in self._truth.names() if self._count(key) != self._expected(key)]

    def _expected(self, key: Key) -> int:
        return self._truth.count(key) - len(self._unreadable.get(key, ()))

    def _count(self, key: Key) -> int:
        index = self._collections.index(key)
        return 0 if index is None else len(index)

    def _compared_ids(self, key: Key) -> Ids:
        """The ids that only one side has."""
        self._collections.forget(key)
        index = self._collections.index(key)
        there = np.empty(0, np.int64) if index is None else index.ids()
        with self._database.reading() as connection:
            self._truth.catch_up(connection)
        ids = self._truth.ids(key)
        unreadable = np.intersect1d(ids, np.array(list(self._unreadable.get(key, ())), np.int64))
        self._unreadable[key] = set(unreadable.tolist())
        return np.setdiff1d(np.setxor1d(ids, there, assume_unique=True), unreadable)

    def _wrong_in_sample(self, key: Key) -> Ids:
        index, ids = self._collections.index(key), self._truth.ids(key)
        if index is None:
            return np.empty(0, np.int64)
        ids = self._random.choice(ids, min(SAMPLE_ROWS, len(ids)), replace=False)
        with self._database.reading() as connection, as_collection(connection, key[0]):
            stored = read_vectors_of(connection, key[1], ids)
        wrong = _differences(stored, index.vectors(ids), index)
        return np.array([face_id for own in wrong for face_id in own], np.int64)

    def _mend(self, key: Key, ids: Ids) -> None:
        """Compare these faces again, block by block, and make Milvus equal to the table."""
        self._mending = bool(len(ids))
        try:
            for start in range(0, len(ids), BLOCK_ROWS):
                block = ids[start : start + BLOCK_ROWS]
                with self._database.writing() as writer, as_collection(writer, key[0]):
                    self._catch_up(writer)
                    self._truth.catch_up(writer)
                    found = self._mend_block(writer, key, block)
                self._note(key, found)
        finally:
            self._mending = False

    def _mend_block(self, writer: sa.Connection, key: Key, ids: Ids) -> tuple[list[int], ...]:
        stored = read_vectors_of(writer, key[1], ids)
        self._unreadable.setdefault(key, set()).update(
            set(np.intersect1d(ids, self._truth.ids(key)).tolist()) - stored.keys()
        )
        if stored:
            index = self._collections.sure(key, len(next(iter(stored.values()))))
        elif (found := self._collections.index(key)) is not None:
            index = found
        else:
            return [], [], []
        lost, surplus, changed = _differences(stored, index.vectors(ids), index)
        if wrong := sorted(lost + changed):
            self._collections.add(key, np.array(wrong), np.array([stored[face_id] for face_id in wrong]))
        self._collections.remove(np.array(surplus, np.int64), self._collections.copies(key) if surplus else ())
        return lost, surplus, changed

    def _note(self, key: Key, found: Iterable[list[int]]) -> None:
        for kind, ids in zip(KINDS, found, strict=True):
            if not ids:
                continue
            self._mended[kind] += len(ids)
            at = datetime.now(UTC).isoformat(timespec="seconds")
            self._last_mended = {"at": at, "what": kind, "model": key[1], "faces": len(ids), "ids": ids[:NAMED_IDS]}
            listener().index_mended(kind, len(ids))
            log.error("Milvus had %s vectors of %s: %d, mended (ids %s)", kind, key[1], len(ids), ids[:NAMED_IDS])

    def _rebuild(self, key: Key) -> None:
        ids = self._truth.ids(key)
        new: MilvusIndex | None = None
        for start in range(0, len(ids), BLOCK_ROWS):
            block = ids[start : start + BLOCK_ROWS]
            with self._database.writing() as writer, as_collection(writer, key[0]):
                self._catch_up(writer)
                stored = read_vectors_of(writer, key[1], block)
                if stored and new is None:
                    self._collections.sure(key, len(next(iter(stored.values()))))
                    new = self._collections.create(key, len(next(iter(stored.values()))))
                if new is not None:
                    new.add(np.array(list(stored)), np.array(list(stored.values())))
                    self._collections.unflushed[new.name] += len(stored)
        if new is not None:
            self._collections.flush_name(new.name)
            with self._database.writing() as writer:
                self._catch_up(writer)
                self._collections.switch(key, new)
            self._mend(key, self._compared_ids(key))


def _differences(
    stored: dict[int, Any], there: dict[int, Any], index: MilvusIndex
) -> tuple[list[int], list[int], list[int]]:
    """The ids that are lost, too many, and those whose vectors differ."""
    both = [face_id for face_id in stored if face_id in there]
    expected: Any = index.stored(np.array([stored[face_id] for face_id in both], np.float32)) if both else ()
    changed = [
        face_id
        for face_id, vector in zip(both, expected, strict=True)
        if not np.allclose(vector, there[face_id], rtol=0, atol=SAME, equal_nan=True)
    ]
    return sorted(stored.keys() - there.keys()), sorted(there.keys() - stored.keys()), changed
