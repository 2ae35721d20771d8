"""Keeps the indexes of a space equal to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors, Matrix
from face128.gallery.rows.changed_faces import ChangedOwners, read_changed
from face128.gallery.rows.space_rows import read_vectors
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.follower import Follower
from face128.gallery.search.index import Distances, FaissIndex, Ids

Search = Callable[[Descriptors, int], tuple[Ids, Distances]]
"""Finds candidates: see ``FaissIndexSync.search``."""


class FaissIndexSync(Follower):
    """The indexes of all models of a space, in this process."""

    def __init__(self, space: StoredSpace) -> None:
        super().__init__()
        self._space = space
        self._indexes: dict[str, FaissIndex] = {}
        self._changed: ChangedOwners | None = None

    def take_changed(self, known: int, now: int) -> ChangedOwners | None:
        """Whose photos changed between these versions, once, if that is what was read last."""
        changed, self._changed = self._changed, None
        return changed if changed and (changed.known, changed.now) == (known, now) else None

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        """The ``k`` approximately nearest photos of the space by their ids, nearest first."""
        with self._lock.reading():
            return self._search(vector, k)

    def search_at(self, version: int, vector: Descriptors, k: int) -> tuple[Ids, Distances] | None:
        """As ``search``, in the gallery at this version; None if the indexes' version is another."""
        with self._lock.reading():
            return self._search(vector, k) if version == self._version else None

    def sizes(self) -> dict[str, int]:
        """The number of photos in the index of each model."""
        with self._lock.reading():
            return {name: len(index) for name, index in self._indexes.items()}

    def _changes(self, connection: sa.Connection, known: int | None, now: int) -> Callable[[], None]:
        if known is None:  # all faces: in memory once
            return super()._changes(connection, known, now)
        changed, new = read_changed(connection, self._space, known, now)
        self._changed = changed

        def apply() -> None:
            for index in self._indexes.values():
                index.remove(changed.gone)
            self._add(new)

        return apply

    def _update(self, connection: sa.Connection, known: int | None) -> None:
        self._indexes.clear()
        self._add(read_vectors(connection, self._space))

    def _add(self, batches: Iterable[tuple[str, Ids, Matrix]]) -> None:
        for model, ids, vectors in batches:
            if model not in self._indexes:
                self._indexes[model] = FaissIndex(self._space.dimension, self._space.metric)
            self._indexes[model].add(ids, vectors.astype(np.float32, copy=False))

    def _search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        return merge_nearest([index.search(vector, k) for index in self._indexes.values()], k)


def merge_nearest(results: list[tuple[Ids, Distances]], k: int) -> tuple[Ids, Distances]:
    """The ``k`` nearest of the results of several indexes."""
    if len(results) == 1:
        return results[0]
    ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in results)])
    distances = np.concatenate([np.empty(0), *(distances for _, distances in results)])
    order = np.argsort(distances, kind="stable")[:k]
    return ids[order], distances[order]
