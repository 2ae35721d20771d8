"""The templates of people with several faces, for searches, kept equal to the table as the index of faces is.

A search finds people: the templates here, and from the index of faces those who have one. So people with one face each
take no further memory, and Milvus still holds the faces; the templates are in this process.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard
from face128.gallery.database import fetch_all
from face128.gallery.index import Distances, FaissIndex, Ids
from face128.gallery.index_sync import FaissIndexSync, Search, comparable_models, merge_nearest, metric_of
from face128.gallery.person_templates import PersonTemplates, template_batches
from face128.gallery.rwlock import ReadWriteLock
from face128.gallery.statements import erased_ids, read_owners
from face128.gallery.tables import faces, state
from face128.process_memory import OverwritingFreedMemory

OptionalSearch = Callable[[Descriptors, ModelCard, int], tuple[Ids, Distances] | None]


class TemplateSync:
    """Thread-safe. ``face_search`` finds single faces; where it is FAISS's, ``face_index`` finds them at a version."""

    def __init__(self, face_search: Search, face_index: FaissIndexSync | None) -> None:
        self._face_search, self._face_index = face_search, face_index
        self._people = PersonTemplates()
        self._indexes: dict[str, FaissIndex] = {}
        self._version = -1
        self._lock = ReadWriteLock()

    @property
    def in_use(self) -> bool:
        """Whether there has been a search; the templates are not read before."""
        return self._version >= 0

    def catch_up(self, connection: sa.Connection) -> None:
        """Bring the templates to the version of the gallery that this transaction sees."""
        if fetch_all(connection, "SELECT version FROM state")[0][0] <= self._version:
            return
        with self._lock.writing(), OverwritingFreedMemory():
            self._apply_changes(connection)

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        """The ``k`` approximately nearest templates of all models comparable with ``card``, nearest first."""
        with self._lock.reading():
            found = self._search(self._face_search, vector, card, k)
        assert found is not None
        return found

    def search_at(self, version: int, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances] | None:
        """As ``search``, in the gallery at this version; None if it cannot be searched at this version."""
        index = self._face_index
        if index is None:
            return None
        with self._lock.reading():
            if version != self._version:
                return None
            return self._search(lambda *asked: index.search_at(version, *asked), vector, card, k)

    def faces_of(self, template_ids: list[int]) -> list[Ids]:
        """The ids of the faces of each template."""
        with self._lock.reading():
            return [self._people.faces_of(template_id) for template_id in template_ids]

    def _search(
        self, face_search: OptionalSearch, vector: Descriptors, card: ModelCard, k: int
    ) -> tuple[Ids, Distances] | None:
        models = comparable_models(card) & self._indexes.keys()
        templates = merge_nearest([self._indexes[name].search(vector, k) for name in models], k)
        enough = float(templates[1][k - 1]) if len(templates[1]) >= k else math.inf
        asked = 4 * k  # most of them may be photos of people with several
        while True:
            found = face_search(vector, card, asked)
            if found is None:
                return None
            ids, distances = found
            single = self._people.single_faces(ids)
            # Until there are k people, or all further faces are beyond the k nearest templates.
            if len(ids) < asked or np.count_nonzero(single) >= k or distances[-1] >= enough:
                break
            asked *= 4
        ids, distances = merge_nearest([(ids[single], distances[single]), templates], k)
        return ids[:k], distances[:k]

    def _apply_changes(self, connection: sa.Connection) -> None:
        now = connection.execute(sa.select(state.c.version, state.c.complete_from)).one()
        if now.version <= self._version:  # another thread has done it
            return
        try:
            self._update(connection, self._version if self._version >= now.complete_from else None)
        except BaseException:  # half of the changes: all is read again
            self._people, self._indexes, self._version = PersonTemplates(), {}, -1
            raise
        self._version = now.version

    def _update(self, connection: sa.Connection, known: int | None) -> None:
        if known is None:
            self._people, self._indexes = PersonTemplates(), {}
            changes = self._people.update(np.empty(0, np.int64), read_owners(connection))
        else:
            gone = erased_ids(connection, known)
            changes = self._people.update(gone, read_owners(connection, faces.c.version > known))
        for index in self._indexes.values():
            index.remove(changes.gone)
        for model, batch in template_batches(connection, changes.several()):
            if model not in self._indexes:
                self._indexes[model] = FaissIndex(batch.vectors.shape[1], metric_of(model))
            self._indexes[model].add(batch.ids, batch.vectors.astype(np.float32))


VersionedIndex = FaissIndexSync | TemplateSync
"""What finds the nearest faces, or templates, at a version of the gallery."""
