"""The ids of all faces in the order of creation: positions and counts without counting rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from face128.gallery.rows.space_rows import erased_ids
from face128.gallery.rows.stored_rows import readable, unreadable_ids
from face128.gallery.search.follower import Follower
from face128.gallery.search.index import Ids
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import faces, in_collection

READ_ROWS = 10_000  # at a time
GROWTH = 8  # room for an eighth more: a million ids are not copied for every new one


class SortedIds:
    """Ids in an array with some room behind it. A change needs exclusive access."""

    def __init__(self) -> None:
        self._buffer: Ids = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def array(self) -> Ids:
        """Ascending; not to be kept."""
        return self._buffer[: self._count]

    def add(self, ids: Ids) -> None:
        """Nearly always they are the greatest, or are there already."""
        ids = np.unique(ids)
        new = ids[~self._has(ids)]
        start, end = self._count, self._count + len(new)
        if start and len(new) and new[0] < self._buffer[start - 1]:
            self._replace(np.union1d(self.array, new))
            return
        if end > len(self._buffer):
            self._buffer = np.concatenate([self.array, np.empty(len(new) + end // GROWTH, np.int64)])
        self._buffer[start:end] = new
        self._count = end

    def remove(self, ids: Ids) -> None:
        """Ids that are not there are ignored."""
        if (there := self._has(ids)).any():
            self._replace(np.delete(self.array, np.searchsorted(self.array, ids[there])))

    def clear(self) -> None:
        self._replace(np.empty(0, np.int64))

    def _has(self, ids: Ids) -> npt.NDArray[np.bool_]:
        if not self._count:
            return np.zeros(len(ids), np.bool_)
        return np.equal(self.array.take(np.searchsorted(self.array, ids), mode="clip"), ids)

    def _replace(self, ids: Ids) -> None:
        self._buffer, self._count = ids, len(ids)


class FaceIds(Follower):
    """Thread-safe. Eight bytes for each face. The methods raise GalleryChanged unless it is at ``version``."""

    def __init__(self) -> None:
        super().__init__()
        self._ids = SortedIds()
        self._left_out: frozenset[int] = frozenset()

    def catch_up(self, connection: sa.Connection) -> int:
        """As every Follower; faces that cannot be opened are left out while that is so."""
        version = super().catch_up(connection)
        unreadable = unreadable_ids(connection)
        if unreadable != self._left_out and version == self._version:
            opened = [
                _read_ids(connection, faces.c.id.in_(block) & in_collection(connection))
                for block in in_blocks(self._left_out - unreadable)
            ]
            with self._lock.writing():
                self._ids.remove(np.array(sorted(unreadable), np.int64))
                self._ids.add(np.concatenate([np.empty(0, np.int64), *opened]))
                self._left_out = unreadable
        return version

    def page(self, version: int, skip: int, limit: int) -> tuple[int, list[int]]:
        """The number of all faces, and the ids of those at these positions."""
        with self.at(version):
            return len(self._ids), self._ids.array[skip : skip + limit].tolist()

    def at_positions(self, version: int, positions: npt.NDArray[np.intp]) -> list[int]:
        """The ids at these positions."""
        with self.at(version):
            return [int(face_id) for face_id in self._ids.array[positions]]

    def position(self, version: int, face_id: int) -> int:
        """The number of older faces."""
        with self.at(version):
            return int(np.searchsorted(self._ids.array, face_id))

    def _update(self, connection: sa.Connection, known: int | None) -> None:
        if known is None:
            self._ids.clear()
            self._ids.add(_read_ids(connection, in_collection(connection, whole=True)))
        else:
            self._ids.remove(erased_ids(connection, known))
            self._ids.add(_read_ids(connection, (faces.c.version > known) & in_collection(connection)))


def _read_ids(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Ids:
    """In any order: to sort them, SQLite would read the whole table instead of a small index that has all ids."""
    wanted = sa.select(faces.c.id).where(condition, readable(connection)).execution_options(stream_results=True)
    blocks = [np.array(rows, np.int64) for rows in connection.execute(wanted).scalars().partitions(READ_ROWS)]
    return np.concatenate([np.empty(0, np.int64), *blocks])
