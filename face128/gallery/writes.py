"""The changes of the gallery, as SQL inside a transaction that no other writer shares (``Database.writing``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed

import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.errors import NotFound, TooManyImages
from face128.gallery.records import COLUMNS, NewFace, Person, Record
from face128.gallery.tables import erased, faces, state

KEPT = 10_000  # changes that stay listed; whoever knows an older gallery reads the whole table
AT_ONCE = 500  # values in one IN (...)


def next_version(connection: sa.Connection) -> int:
    """Take the number of this transaction's change."""
    connection.execute(sa.update(state).values(version=state.c.version + 1))
    version: int = connection.execute(sa.select(state.c.version)).scalar_one()
    return version


def add(connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard) -> list[Record]:
    """The stored faces of these sources: those that were there already, and those that are new."""
    hashes = [face.content_hash(person, card) for face in new]
    there = by_hash(connection, hashes)
    fresh = {content: face for content, face in zip(hashes, new, strict=True) if content not in there}
    if fresh:
        version = next_version(connection)
        connection.execute(sa.insert(faces), [face.row(person, card, version) for face in fresh.values()])
        there = by_hash(connection, hashes)
    return [there[content] for content in dict.fromkeys(hashes)]


def settle(connection: sa.Connection, person: Person) -> Person:
    """The person under the name that is given now, and with the kind of regNo that he was imported with.

    Faces that get another name count as changed: by its name a record may be the same person.
    """
    his = faces.c.user_id == person.user_id
    known = connection.execute(sa.select(faces.c.is_number).where(his).limit(1)).scalar()
    otherwise = his & faces.c.name.is_distinct_from(person.name)
    if connection.execute(sa.select(faces.c.id).where(otherwise).limit(1)).first() is not None:
        connection.execute(sa.update(faces).where(otherwise).values(name=person.name, version=next_version(connection)))
    return person if known is None else changed(person, numeric=known)


def check_count(connection: sa.Connection, person: Person, most: int) -> None:
    """Raise TooManyImages if the person has more faces than this."""
    count = sa.select(sa.func.count()).select_from(faces).where(faces.c.user_id == person.user_id)
    if connection.execute(count).scalar_one() > most:
        raise TooManyImages(f"A person has at most {most} faces. To replace those that are stored: replace=true.")


def erase(connection: sa.Connection, whose: sa.ColumnElement[bool]) -> list[Record]:
    """Erase the faces that the condition names and return what they were. Raises NotFound if there are none."""
    records = [Record.of(row) for row in connection.execute(sa.select(*COLUMNS).where(whose))]
    if not records:
        raise NotFound("There is nobody enrolled like this.")
    version = next_version(connection)
    connection.execute(sa.delete(faces).where(whose))
    connection.execute(sa.insert(erased), [{"face_id": record.row, "version": version} for record in records])
    connection.execute(sa.delete(erased).where(erased.c.version <= version - KEPT))
    outdated = state.c.complete_from < version - KEPT
    connection.execute(sa.update(state).where(outdated).values(complete_from=version - KEPT))
    return records


def by_hash(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, Record]:
    """The stored faces with these content hashes."""
    found: dict[str, Record] = {}
    for start in range(0, len(hashes), AT_ONCE):
        wanted = sa.select(*COLUMNS, faces.c.content_hash).where(
            faces.c.content_hash.in_(hashes[start : start + AT_ONCE])
        )
        found |= {row.content_hash: Record.of(row) for row in connection.execute(wanted)}
    return found
