"""Faces in the order of creation, by key: a page is as quick at the end of a large gallery as at its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import sqlalchemy as sa

from face128.errors import NotFound
from face128.gallery.people.people import with_terms
from face128.gallery.rows.face_ids import FaceIds
from face128.gallery.rows.records import NO_RECORD, Record, check_id
from face128.gallery.rows.space_rows import companion_models
from face128.gallery.rows.statements import read_ids, read_records
from face128.gallery.rows.stored_rows import stored_as
from face128.gallery.search.person_spaces import in_one_version
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces


class Pages:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ids = FaceIds()

    def page(self, skip: int, limit: int) -> tuple[int, list[Record]]:
        """The number of all faces, and some of them in the order of creation, with their positions."""

        def read(connection: sa.Connection) -> tuple[int, list[Record]]:
            count, ids = self.ids.page(self.ids.catch_up(connection), skip, limit)
            positions = {face_id: position for position, face_id in enumerate(ids, skip)}
            records: list[Record] = []
            for block in in_blocks(ids):
                records += read_records(connection, faces.c.id.in_(block))
            records = [replace(record, position=positions[record.face_id]) for record in records]
            return count, _with_companions(connection, records)

        return in_one_version(self._database, read)

    def walk(self, limit: int) -> Iterator[list[Record]]:
        """All faces in the order of creation, at most ``limit`` at a time, each time in a transaction of its own.

        So nobody waits for a long walk, and it takes no memory. It has what was there all the time.
        """
        last = 0
        while True:
            with self._database.reading() as connection:
                ids = read_ids(connection, faces.c.id > last, limit)
                if not ids:
                    return
                block = read_records(connection, faces.c.id.between(ids[0], ids[-1]))
                block = _with_companions(connection, block)
            last = ids[-1]
            yield block

    def record(self, record_id: str) -> Record:
        """The face, with its position. Raises NotFound."""
        check_id(record_id)

        def read(connection: sa.Connection) -> Record:
            version = self.ids.catch_up(connection)
            found = read_records(connection, stored_as(connection, faces.c.record_id, record_id))
            if not found:
                raise NotFound(NO_RECORD)
            (record,) = with_terms(connection, found[:1])
            return replace(record, position=self.ids.position(version, record.face_id))

        return in_one_version(self._database, read)


def _with_companions(connection: sa.Connection, records: list[Record]) -> list[Record]:
    others = companion_models(connection, [record.face_id for record in records])
    records = [replace(record, companions=others.get(record.face_id, ())) for record in records]
    return with_terms(connection, records)
