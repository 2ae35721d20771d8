"""What Milvus should have: the ids of each name, kept in this process, and the vectors of some of them."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Vector
from face128.gallery.milvus.collections import Key
from face128.gallery.rows.all_collections import as_collection, changed_collections, each_collection
from face128.gallery.rows.face_ids import SortedIds
from face128.gallery.rows.space_rows import erased_ids, ids_by_name, read_descriptors, read_embeddings
from face128.gallery.rows.stored_space import names_of, vectors_of
from face128.gallery.search.follower import Follower
from face128.gallery.search.index import Ids


class MilvusTruth(Follower):
    """Thread-safe. Eight bytes for each vector."""

    def __init__(self) -> None:
        super().__init__()
        self._ids: dict[Key, SortedIds] = {}

    def names(self) -> list[Key]:
        with self._lock.reading():
            return list(self._ids)

    def count(self, key: Key) -> int:
        with self._lock.reading():
            return len(self._ids[key])

    def ids(self, key: Key) -> Ids:
        """Ascending."""
        with self._lock.reading():
            return self._ids[key].array.copy()

    def _update(self, connection: sa.Connection, known: int | None) -> None:
        if known is None:
            self._ids.clear()
        else:
            gone = erased_ids(connection, known)
            for kept in self._ids.values():
                kept.remove(gone)
        collections = each_collection(connection) if known is None else changed_collections(connection, known)
        for collection in collections:
            with as_collection(connection, collection):
                for name, ids in ids_by_name(connection, known).items():
                    self._ids.setdefault((collection, name), SortedIds()).add(ids)


def read_vectors_of(connection: sa.Connection, name: str, ids: Ids) -> dict[int, Vector]:
    """The vectors with this name of these faces. One that was erased, or that cannot be read, is left out."""
    rows = read_embeddings(connection, ids.tolist())
    photos = zip([row[0] for row in rows], read_descriptors(connection, rows), strict=True)
    named = {face_id: photo for face_id, photo in photos if name in names_of(photo)}
    if not named:
        return {}
    vectors = vectors_of([name] * len(named), list(named.values())).astype(np.float32, copy=False)
    return dict(zip(named, vectors, strict=True))
