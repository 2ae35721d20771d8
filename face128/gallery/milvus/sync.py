"""The gallery's vectors in Milvus, shared by all services of one gallery.

The database decides, and has the version that Milvus has reached (``state.indexed``). Who finds Milvus behind brings it
up to date, as the only writer; so Milvus differs from the table only while that number is behind, or after a loss.
``milvus_check.py`` looks for losses.
"""

from __future__ import annotations

import logging
import threading
import time

import sqlalchemy as sa

from face128.domain.descriptors import Descriptors
from face128.errors import DatabaseUnavailable
from face128.gallery.milvus.check import MilvusCheck
from face128.gallery.milvus.collections import MilvusCollections
from face128.gallery.milvus.server import MilvusServer
from face128.gallery.milvus.watch import MilvusWatch
from face128.gallery.rows.all_collections import as_collection, changed_collections
from face128.gallery.rows.space_rows import erased_ids, read_all_vectors
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.index import Distances, Ids
from face128.gallery.search.index_sync import merge_nearest
from face128.gallery.search.rwlock import locked
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import state
from face128.settings import MilvusIndexType

log = logging.getLogger("face128")

FLUSH_ROWS = 500  # milvus-lite takes 10 ms longer in each search for so many that were not flushed
FLUSH_INTERVAL_S = 10.0  # Milvus refuses a collection's flushes that come faster


class Milvus:
    """Thread-safe. What the galleries of all collections share."""

    def __init__(
        self, uri: str, database: Database, index_type: MilvusIndexType = "FLAT", *, hurried: bool = False
    ) -> None:
        self.server = MilvusServer(uri, hurried=hurried)
        self.collections = MilvusCollections(self.server, index_type)
        self.check = MilvusCheck(database, self.server, self.collections, self._apply_changes)
        self._database = database
        self._verified = False
        self._verifying = threading.Lock()
        self._flushed_at = -FLUSH_INTERVAL_S
        self.watch = MilvusWatch(self)

    def catch_up(self, connection: sa.Connection) -> None:
        """Bring Milvus to the version of the table. The first call of a process also compares the two."""
        if self._database.is_writing(connection):
            with self.server.answering():
                self._apply_changes(connection)
            return
        if not self._verified:
            with locked(self._verifying):
                if not self._verified:
                    self._bring_up_to_date()
                    self.check.everything(self.collections.index_type)
                    self._verified = True
        now = connection.execute(sa.select(state.c.version, state.c.indexed)).one()
        if now.indexed != now.version:
            self._bring_up_to_date()

    def of_collection(self, name: str) -> MilvusIndexSync:
        return MilvusIndexSync(self, name)

    def rebuild(self) -> None:
        """Build Milvus's collections anew; searches go on meanwhile."""
        self._bring_up_to_date()
        self.check.rebuild_all()

    def flush(self) -> None:
        """Flush what was added, where it is much and the last flush not a moment ago."""
        if time.monotonic() < self._flushed_at + FLUSH_INTERVAL_S:
            return
        self._flushed_at = time.monotonic()
        try:
            with self.server.answering():
                self.collections.flush(FLUSH_ROWS)
        except DatabaseUnavailable:
            pass  # logged; searches are right without it, and the next flush comes

    def _bring_up_to_date(self) -> None:
        self.server.ping()  # one that hangs holds no writer
        with self.server.answering(), self._database.writing() as writer:
            self._apply_changes(writer)
        self.flush()

    def _apply_changes(self, connection: sa.Connection) -> None:
        """For a writing transaction."""
        now = connection.execute(sa.select(state)).one()
        self.collections.of_gallery(now.gallery_id)
        if now.indexed == now.version:
            return
        self.collections.remove(erased_ids(connection, now.indexed))
        for collection in changed_collections(connection, now.indexed):
            with as_collection(connection, collection):
                for name, ids, vectors in read_all_vectors(connection, now.indexed):
                    self.collections.add((collection, name), ids, vectors)
        connection.execute(sa.update(state).values(indexed=now.version))
        if now.indexed < now.complete_from:  # not all erasures since are listed; what is left over is found by counting
            self.check.doubt()


class MilvusIndexSync:
    """As index_sync.FaissIndexSync, of one collection of the gallery."""

    def __init__(self, milvus: Milvus, collection: str) -> None:
        self._milvus, self._collection = milvus, collection
        self.catch_up = milvus.catch_up

    def search(self, vector: Descriptors, space: StoredSpace, k: int) -> tuple[Ids, Distances]:
        try:
            with self._milvus.server.answering():
                found = [self._milvus.collections.index((self._collection, name)) for name in sorted(space.models)]
                return merge_nearest([index.search(vector, k) for index in found if index is not None], k)
        except DatabaseUnavailable:
            self._milvus.check.doubt()  # a collection may be lost
            raise

    def sizes(self) -> dict[str, int]:
        with self._milvus.server.answering():
            return self._milvus.check.sizes(self._collection)
