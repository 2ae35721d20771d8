"""Keeps the indexes equal to the table: before each search, what has changed since is read from the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors, Metric
from face128.domain.model_card import ModelCard, find_card
from face128.gallery.database import plainly
from face128.gallery.index import Distances, FaissIndex, Ids, Index
from face128.gallery.rwlock import SharedLock
from face128.gallery.tables import erased, faces, state

# Rows read at once. Fewer than the garbage collector lets through before it looks (700): a million faces are there in
# 5 s; by 10,000 rows, which it looks at again and again, in 8.
BATCH = 500

Rows = Iterator[tuple[str, Ids, Descriptors]]


class Proposer(Protocol):
    """Finds who is near."""

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        """The nearest ``k`` rows of all models that may be compared with ``card``'s, the nearest first."""
        ...


class Replica(Proposer, Protocol):
    """The indexes of all models."""

    def catch_up(self, connection: sa.Connection) -> None:
        """Bring the indexes to the version of the gallery that this transaction sees."""
        ...

    def search_at(self, version: int, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances] | None:
        """As ``search``, of the gallery at this version; None where the indexes are at another, or cannot say."""
        ...

    def sizes(self) -> dict[str, int]:
        """How many faces the index of each model holds."""
        ...


class FaissReplica:
    """Indexes in this process: empty at its start, and at the version that it remembers from then on."""

    def __init__(self) -> None:
        self._indexes: dict[str, Index] = {}
        self._version = -1
        self._lock = SharedLock()

    def catch_up(self, connection: sa.Connection) -> None:
        if plainly(connection, "SELECT version FROM state")[0][0] <= self._version:
            return
        with self._lock.writing():
            now = connection.execute(sa.select(state.c.version, state.c.complete_from)).one()
            if now.version <= self._version:  # another thread was quicker
                return
            if self._version < now.complete_from:
                self._indexes.clear()
                apply_added(rows(connection), self._index)
            else:
                gone = connection.scalars(sa.select(erased.c.face_id).where(erased.c.version > self._version)).all()
                for index in self._indexes.values():
                    index.remove(np.array(gone, np.int64))
                apply_added(rows(connection, self._version), self._index)
            self._version = now.version

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        with self._lock.reading():
            return self._search(vector, card, k)

    def search_at(self, version: int, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances] | None:
        with self._lock.reading():
            return self._search(vector, card, k) if version == self._version else None

    def _search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        return merge([self._indexes[name].search(vector, k) for name in comparable(card) & self._indexes.keys()], k)

    def sizes(self) -> dict[str, int]:
        with self._lock.reading():
            return {name: len(index) for name, index in self._indexes.items()}

    def _index(self, model: str, dimension: int) -> Index:
        return self._indexes.setdefault(model, FaissIndex(dimension, metric(model)))


def comparable(card: ModelCard) -> frozenset[str]:
    """The models whose descriptors may meet this card's."""
    return card.comparable_with | {card.name}


def metric(model: str) -> Metric:
    """The metric of a stored row. A model without a card (the engine without weights) is Euclidean."""
    card = find_card(model)
    return "euclidean" if card is None else card.metric


def rows(connection: sa.Connection, above: int | None = None) -> Rows:
    """Model, row numbers and descriptors of the faces, or of those added above a version; in blocks of one model."""
    wanted = sa.select(faces.c.id, faces.c.model, faces.c.embedding)
    # In the order of the index that finds them: SQLite would read the whole table to give them in another.
    wanted = wanted.order_by(faces.c.id) if above is None else wanted.where(faces.c.version > above)
    result = connection.execute(wanted.execution_options(stream_results=True))
    for batch in result.partitions(BATCH):
        for model in {row[1] for row in batch}:
            ids, _, embeddings = zip(*(row for row in batch if row[1] == model), strict=True)
            yield model, np.array(ids, np.int64), np.frombuffer(b"".join(embeddings), "<f4").reshape(len(ids), -1)


def apply_added(added: Rows, index: Callable[[str, int], Index]) -> None:
    for model, ids, vectors in added:
        index(model, vectors.shape[1]).add(ids, vectors)


def merge(results: list[tuple[Ids, Distances]], k: int) -> tuple[Ids, Distances]:
    """The nearest ``k`` of several indexes."""
    if len(results) == 1:
        return results[0]
    ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in results)])
    distances = np.concatenate([np.empty(0), *(distances for _, distances in results)])
    order = np.argsort(distances, kind="stable")[:k]
    return ids[order], distances[order]
