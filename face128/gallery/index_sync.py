"""Keeps the indexes equal to the table: before each search, the changes since the last one are read from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors, Metric
from face128.domain.model_card import ModelCard, find_card
from face128.gallery.database import fetch_all
from face128.gallery.index import Distances, FaissIndex, Ids
from face128.gallery.rwlock import ReadWriteLock
from face128.gallery.statements import erased_ids, read_vectors
from face128.gallery.tables import state
from face128.process_memory import OverwritingFreedMemory

Search = Callable[[Descriptors, ModelCard, int], tuple[Ids, Distances]]
"""Finds candidates: see ``FaissIndexSync.search``."""


class FaissIndexSync:
    """The indexes of all models, in this process, and the gallery's version that they have reached."""

    def __init__(self) -> None:
        self._indexes: dict[str, FaissIndex] = {}
        self._version = -1
        self._lock = ReadWriteLock()

    def catch_up(self, connection: sa.Connection) -> None:
        """Bring the indexes to the version of the gallery that this transaction sees."""
        if fetch_all(connection, "SELECT version FROM state")[0][0] <= self._version:
            return
        with self._lock.writing(), OverwritingFreedMemory():
            self._apply_changes(connection)

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        """The ``k`` approximately nearest face ids of all models comparable with ``card``, nearest first."""
        with self._lock.reading():
            return self._search(vector, card, k)

    def search_at(self, version: int, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances] | None:
        """As ``search``, in the gallery at this version; None if the indexes' version is another."""
        with self._lock.reading():
            return self._search(vector, card, k) if version == self._version else None

    def _apply_changes(self, connection: sa.Connection) -> None:
        now = connection.execute(sa.select(state.c.version, state.c.complete_from)).one()
        if now.version <= self._version:  # another thread has done it
            return
        known = self._version if self._version >= now.complete_from else None
        if known is None:
            self._indexes.clear()
        else:
            gone = erased_ids(connection, known)
            for index in self._indexes.values():
                index.remove(gone)
        for model, ids, vectors in read_vectors(connection, known):
            if model not in self._indexes:
                self._indexes[model] = FaissIndex(vectors.shape[1], metric_of(model))
            self._indexes[model].add(ids, vectors)
        self._version = now.version

    def _search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        models = comparable_models(card) & self._indexes.keys()
        return merge_nearest([self._indexes[name].search(vector, k) for name in models], k)

    def sizes(self) -> dict[str, int]:
        """The number of faces in the index of each model."""
        with self._lock.reading():
            return {name: len(index) for name, index in self._indexes.items()}


def comparable_models(card: ModelCard) -> frozenset[str]:
    """The models whose descriptors may be compared with this card's, its own included."""
    return card.comparable_with | {card.name}


def metric_of(model: str) -> Metric:
    """The metric of a stored face's model. A model without a card (the fake engine's) is Euclidean."""
    card = find_card(model)
    return "euclidean" if card is None else card.metric


def merge_nearest(results: list[tuple[Ids, Distances]], k: int) -> tuple[Ids, Distances]:
    """The ``k`` nearest of the results of several indexes."""
    if len(results) == 1:
        return results[0]
    ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in results)])
    distances = np.concatenate([np.empty(0), *(distances for _, distances in results)])
    order = np.argsort(distances, kind="stable")[:k]
    return ids[order], distances[order]
