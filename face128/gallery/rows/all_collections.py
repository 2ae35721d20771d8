"""What is done with all collections of a gallery's database: the only statements without ``tables.in_collection``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import collection_of, companions, faces, people


def collection_sizes(connection: sa.Connection) -> dict[str, int]:
    """The number of faces in each collection that has any, in the order of their names."""
    sizes = sa.select(faces.c.collection, sa.func.count()).group_by(faces.c.collection)
    return dict(sorted((name, count) for name, count in connection.execute(sizes)))


def each_collection(connection: sa.Connection) -> Iterator[str]:
    """The names of the collections that have any faces; meanwhile the connection is of that collection.

    The loop must run to its end, or the transaction end with it.
    """
    for name in collection_sizes(connection):
        with as_collection(connection, name):
            yield name


def changed_collections(connection: sa.Connection, above: int) -> list[str]:
    """The names of the collections whose faces have changed above a version of the gallery."""
    changed = [sa.select(table.c.collection).where(table.c.version > above) for table in (faces, companions)]
    return sorted(connection.scalars(sa.union(*changed)))


def free_record_ids(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Give those of these new rows another record_id whose own is a face's in another collection.

    So the export of one collection can be imported into another. A record's user_id is its record_id, before and after.
    """
    by_id = {row["record_id"]: row for row in rows}
    ids = list(by_id)
    for some in in_blocks(ids):
        block = faces.c.record_id.in_(some)
        for taken in connection.scalars(sa.select(faces.c.record_id).where(block)):
            row, new = by_id[taken], str(uuid.uuid4())
            row |= {"record_id": new} | ({"user_id": new} if row["user_id"] == taken else {})


def any_expired(connection: sa.Connection, now: datetime) -> bool:
    """Whether anybody's ``expires_at`` is over."""
    return connection.scalar(sa.select(people.c.user_id).where(people.c.expires_at <= now).limit(1)) is not None


def any_row(connection: sa.Connection, condition: sa.ColumnElement[bool], key: sa.ColumnElement[Any]) -> bool:
    """Whether any row of the key's table meets the condition."""
    return connection.scalar(sa.select(key).where(condition).limit(1)) is not None


def delete_rows(
    connection: sa.Connection, condition: sa.ColumnElement[bool], key: sa.ColumnElement[int], limit: int
) -> list[int]:
    """Delete rows of the key's table that meet the condition, at most so many; return their keys."""
    ids = list(connection.scalars(sa.select(key).where(condition).limit(limit)))
    for block in in_blocks(ids):
        connection.execute(sa.delete(key.table).where(key.in_(block)))
    return ids


def strays(connection: sa.Connection) -> list[tuple[str, str]]:
    """The collections and stored user_ids of people's rows without a face: an older face128 has erased the faces."""
    own = (faces.c.user_id == people.c.user_id) & (faces.c.collection == people.c.collection)
    rows = connection.execute(sa.select(people.c.collection, people.c.user_id).where(~sa.exists().where(own)))
    return [(row.collection, row.user_id) for row in rows]


def any_in_clear(connection: sa.Connection) -> bool:
    """Whether any face is not sealed: one keystore serves all collections."""
    return connection.scalar(sa.select(faces.c.id).where(faces.c.key_id.is_(None)).limit(1)) is not None


def count_in_clear(connection: sa.Connection) -> int:
    counted = sa.select(sa.func.count()).select_from(faces).where(faces.c.key_id.is_(None))
    return connection.scalars(counted).one()


def keys_in_use(connection: sa.Connection) -> set[str]:
    """The ids of the keys of all sealed faces."""
    wanted = sa.select(faces.c.key_id).where(faces.c.key_id.is_not(None)).distinct()
    return set(connection.scalars(wanted))


def faces_with_keys(connection: sa.Connection, key_ids: Sequence[str]) -> list[int]:
    """The ids of the faces that these keys, by their ids, seal."""
    found: list[int] = []
    for some in in_blocks(key_ids):
        block = faces.c.key_id.in_(some)
        found += connection.scalars(sa.select(faces.c.id).where(block))
    return found


@contextmanager
def as_collection(connection: sa.Connection, name: str) -> Iterator[None]:
    """A block in which the connection reads and writes this collection instead of its own."""
    own = collection_of(connection)
    connection.execution_options(collection=name)
    try:
        yield
    finally:
        connection.execution_options(collection=own)
