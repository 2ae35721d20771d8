"""The templates of people with several faces, for searches, kept equal to the table as the index of faces is.

A search finds people: the templates here, and from the index of faces those who have one. So people with one face each
take no further memory, and Milvus still holds the faces; the templates are in this process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors
from face128.gallery.rows.space_rows import FaceOwners, erased_ids, read_owners
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.follower import Follower
from face128.gallery.search.index import Distances, FaissIndex, Ids
from face128.gallery.search.index_sync import FaissIndexSync, Search, merge_nearest
from face128.gallery.search.person_templates import PersonTemplates, template_batches

OptionalSearch = Callable[[Descriptors, int], tuple[Ids, Distances] | None]


class TemplateSync(Follower):
    """``face_search`` finds single faces; where it is FAISS's, ``face_index`` finds them at a version."""

    def __init__(self, space: StoredSpace, face_search: Search, face_index: FaissIndexSync | None) -> None:
        super().__init__()
        self._space, self._face_search, self._face_index = space, face_search, face_index
        self._people = PersonTemplates()
        self._indexes: dict[str, FaissIndex] = {}

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        """The ``k`` approximately nearest templates of the space, nearest first."""
        with self._lock.reading():
            found = self._search(self._face_search, vector, k)
        assert found is not None
        return found

    def search_at(self, version: int, vector: Descriptors, k: int) -> tuple[Ids, Distances] | None:
        """As ``search``, in the gallery at this version; None if it cannot be searched at this version."""
        index = self._face_index
        if index is None:
            return None
        with self._lock.reading():
            if version != self._version:
                return None
            return self._search(lambda *asked: index.search_at(version, *asked), vector, k)

    def faces_of(self, template_ids: list[int]) -> list[Ids]:
        """The ids of the faces of each template."""
        with self._lock.reading():
            return [self._people.faces_of(template_id) for template_id in template_ids]

    def _search(self, face_search: OptionalSearch, vector: Descriptors, k: int) -> tuple[Ids, Distances] | None:
        templates = merge_nearest([index.search(vector, k) for index in self._indexes.values()], k)
        enough = float(templates[1][k - 1]) if len(templates[1]) >= k else math.inf
        asked = 4 * k if len(templates[0]) else k  # most of them may be photos of people with several
        while True:
            found = face_search(vector, asked)
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

    def _changes(self, connection: sa.Connection, known: int | None, now: int) -> Callable[[], None]:
        if known is None:
            return super()._changes(connection, known, now)
        changed = self._face_index.take_changed(known, now) if self._face_index else None
        gone = changed.gone if changed else erased_ids(connection, known)
        added = changed.owners if changed else read_owners(connection, self._space, known)
        return partial(self._apply, connection, gone, added)

    def _update(self, connection: sa.Connection, known: int | None) -> None:
        self._people, self._indexes = PersonTemplates(), {}
        self._apply(connection, np.empty(0, np.int64), read_owners(connection, self._space))

    def _apply(self, connection: sa.Connection, gone: Ids, added: FaceOwners) -> None:
        try:
            self._follow(connection, gone, added)
        except BaseException:  # half of the changes: all is read again
            self._people, self._indexes, self._version = PersonTemplates(), {}, -1
            raise

    def _follow(self, connection: sa.Connection, gone: Ids, added: FaceOwners) -> None:
        changes = self._people.update(gone, added)
        for index in self._indexes.values():
            index.remove(changes.gone)
        for model, batch in template_batches(connection, changes.several(), self._space):
            if model not in self._indexes:
                self._indexes[model] = FaissIndex(self._space.dimension, self._space.metric)
            self._indexes[model].add(batch.ids, batch.vectors.astype(np.float32))


VersionedIndex = FaissIndexSync | TemplateSync
"""What finds the nearest faces, or templates, at a version of the gallery."""
