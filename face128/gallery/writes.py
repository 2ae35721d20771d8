"""The changes of the gallery, as SQL in a writing transaction (``Database.writing``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.errors import NotFound, TooManyImages
from face128.gallery.reads import count_faces
from face128.gallery.records import RECORD_COLUMNS, NewFace, Person, Record
from face128.gallery.tables import erased, faces, state

MAX_LISTED_VERSIONS = 10_000  # erasures of older versions are no longer listed: the whole table must be read
MAX_IN_VALUES = 500  # in one IN (...)


def next_version(connection: sa.Connection) -> int:
    """Take the number of this transaction's change."""
    connection.execute(sa.update(state).values(version=state.c.version + 1))
    version: int = connection.execute(sa.select(state.c.version)).scalar_one()
    return version


def add_faces(connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard) -> list[Record]:
    """Store the faces that are not stored yet, and return the records of all of them, each once."""
    hashes = [face.content_hash(person, card) for face in new]
    stored = _records_by_hash(connection, hashes)
    missing = {content: face for content, face in zip(hashes, new, strict=True) if content not in stored}
    if missing:
        version = next_version(connection)
        connection.execute(sa.insert(faces), [face.table_row(person, card, version) for face in missing.values()])
        stored = _records_by_hash(connection, hashes)
    return [stored[content] for content in dict.fromkeys(hashes)]


def resolve_person(connection: sa.Connection, person: Person) -> Person:
    """Rename the person's stored faces to the name given now, and return the person with the stored kind of regNo.

    A renamed face counts as changed: a record of that name may now be the same person.
    """
    of_person = faces.c.user_id == person.user_id
    numeric = connection.execute(sa.select(faces.c.is_number).where(of_person).limit(1)).scalar()
    renamed = of_person & faces.c.name.is_distinct_from(person.name)
    if connection.execute(sa.select(faces.c.id).where(renamed).limit(1)).first() is not None:
        connection.execute(sa.update(faces).where(renamed).values(name=person.name, version=next_version(connection)))
    return person if numeric is None else replace(person, numeric=numeric)


def check_count(connection: sa.Connection, person: Person, max_faces: int) -> None:
    """Raise TooManyImages if the person has more than ``max_faces`` faces."""
    if count_faces(connection, faces.c.user_id == person.user_id) > max_faces:
        raise TooManyImages(f"A person has at most {max_faces} faces. To replace the stored ones: replace=true.")


def erase_faces(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Record]:
    """Erase the faces that meet the condition, and return their records. Raises NotFound if there are none."""
    records = [Record.from_row(row) for row in connection.execute(sa.select(*RECORD_COLUMNS).where(condition))]
    if not records:
        raise NotFound("There is nobody enrolled like this.")
    version = next_version(connection)
    complete_from = version - MAX_LISTED_VERSIONS
    connection.execute(sa.delete(faces).where(condition))
    connection.execute(sa.insert(erased), [{"face_id": record.face_id, "version": version} for record in records])
    connection.execute(sa.delete(erased).where(erased.c.version <= complete_from))
    outdated = state.c.complete_from < complete_from
    connection.execute(sa.update(state).where(outdated).values(complete_from=complete_from))
    return records


def _records_by_hash(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for start in range(0, len(hashes), MAX_IN_VALUES):
        wanted = faces.c.content_hash.in_(hashes[start : start + MAX_IN_VALUES])
        rows = connection.execute(sa.select(*RECORD_COLUMNS, faces.c.content_hash).where(wanted))
        found |= {row.content_hash: Record.from_row(row) for row in rows}
    return found
