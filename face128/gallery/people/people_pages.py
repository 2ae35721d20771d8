"""People, some at a time, by key: each with the number of their photos and what is agreed with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from face128.domain.plain_text import refuse_nul
from face128.domain.terms import NO_TERMS, Terms
from face128.gallery.people.people import terms_of
from face128.gallery.rows.records import Person, Record
from face128.gallery.rows.statements import BATCH_ROWS, read_without_descriptors
from face128.gallery.rows.stored_rows import readable, vault_of
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces, in_collection


@dataclass(frozen=True)
class EnrolledSummary:
    person: Person
    photos: int
    first: datetime
    last: datetime
    """When the oldest and the newest photo were enrolled: UTC, without a time zone."""
    terms: Terms


def page(
    database: Database, after: str | None = None, limit: int = 100, search: str = ""
) -> tuple[list[EnrolledSummary], str | None]:
    """People in the order of their stored ids, and after which of these ids the next ones come; None at the end.

    ``after`` is what the page before gave. ``search``: only those who have this text in their id or name, whatever its
    case. The people are gone through one by one then, and in an encrypted gallery each row is opened. Raises
    InvalidRequest for an ``after`` that no page gives.
    """
    refuse_nul("after", after or "")
    with database.reading() as connection:
        wanted = _searched(connection, after, search.casefold()) if search else _all(connection, after, limit + 1)
        stored = list(islice(wanted, limit + 1))
        while len(stored) > limit and _is_damaged(stored[limit - 1]):
            stored += islice(wanted, 1)
            limit += 1
        shown = stored[:limit]
        return _summaries(connection, shown), shown[-1] if len(stored) > limit else None


def count(database: Database) -> int:
    """How many people the collection has."""
    people = sa.select(sa.func.count(faces.c.user_id.distinct()))
    with database.reading() as connection:
        return connection.scalars(people.where(in_collection(connection, whole=True), readable(connection))).one()


def _all(connection: sa.Connection, after: str | None, block: int) -> Iterator[str]:
    """The stored ids above ``after``."""
    ids = sa.select(faces.c.user_id).where(in_collection(connection, whole=True)).distinct()
    return (row.user_id for rows in _blocks(connection, ids, after, block) for row in rows)


def _searched(connection: sa.Connection, after: str | None, text: str) -> Iterator[str]:
    """The stored ids above ``after`` of those who have this text, in its folded case, in their id or name."""
    if vault_of(connection) is None:
        wanted = sa.select(faces.c.user_id, faces.c.name).where(in_collection(connection, whole=True)).distinct()
        if connection.dialect.name == "sqlite":
            wanted = wanted.where(_may_have(faces.c.user_id, text) | _may_have(faces.c.name, text))
        for rows in _blocks(connection, wanted, after, BATCH_ROWS):
            for user_id, name in rows:  # 100,000 of them: nothing is called that need not be
                if text in user_id.casefold() or (name and text in name.casefold()):
                    yield user_id
        return
    ids = _all(connection, after, BATCH_ROWS)
    while block := list(islice(ids, BATCH_ROWS)):
        for stored, own in _by_stored_id(connection, block).items():
            people = {record.person for record in own}
            if any(text in person.user_id.casefold() or text in (person.name or "").casefold() for person in people):
                yield stored


def _may_have(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """For SQLite, which folds the case of ASCII alone: whether the column may have the text.

    It rules out nearly everybody in half of the time that Python takes, and other threads can run meanwhile.
    """
    is_other: sa.ColumnElement[bool] = column.op("GLOB", is_comparison=True)("*[^ -~]*")
    return is_other | (sa.func.instr(sa.func.lower(column), text) > 0)


def _blocks(connection: sa.Connection, wanted: sa.Select[Any], after: str | None, size: int) -> Iterator[Sequence[Any]]:
    """Rows above ``after`` in the order of the stored ids, which are their first column."""
    while True:
        block = wanted.order_by(faces.c.user_id).limit(size)
        rows = connection.execute(block if after is None else block.where(faces.c.user_id > after)).all()
        if len(rows) == size and _is_damaged(rows[-1][0]):
            size *= 2
            continue
        yield rows
        if len(rows) < size:
            return
        after = rows[-1][0]


def _is_damaged(stored_id: str) -> bool:
    """Whether it may have bytes that are not UTF-8: it is read as another text, and no rows are above that."""
    return "\\x" in stored_id


def _summaries(connection: sa.Connection, stored_ids: list[str]) -> list[EnrolledSummary]:
    found = []
    for block in in_blocks(stored_ids):
        for own in _by_stored_id(connection, block).values():
            if own:  # none, where the person's key was destroyed
                times = [record.created_at for record in own]
                found.append(EnrolledSummary(own[-1].person, len(own), min(times), max(times), NO_TERMS))
    known = terms_of(connection, [one.person.user_id for one in found])
    return [replace(one, terms=known.get(one.person.user_id, NO_TERMS)) for one in found]


def _by_stored_id(connection: sa.Connection, stored_ids: list[str]) -> dict[str, list[Record]]:
    """The faces of each of these people, in the order of the ids."""
    of_block = faces.c.user_id.in_(stored_ids)
    stored = {
        face_id: user_id
        for face_id, user_id in connection.execute(
            sa.select(faces.c.id, faces.c.user_id).where(of_block, in_collection(connection))
        )
    }
    found: dict[str, list[Record]] = {user_id: [] for user_id in stored_ids}
    for record in read_without_descriptors(connection, of_block):
        found.setdefault(stored[record.face_id], []).append(record)
    return found
