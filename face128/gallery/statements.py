"""The SQL of several modules: what they read, and the changes, for ``Database.writing``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from face128.domain.model_card import ModelCard, find_card
from face128.gallery.records import RECORD_COLUMNS, NewFace, Person, Record
from face128.gallery.stored_space import Models, comparable_models
from face128.gallery.tables import companions, erased, faces, state

# Fewer rows than the garbage collector's threshold (700): a million faces are loaded in 5 s. With 10,000 rows, which
# it scans again and again, it takes 8 s.
BATCH_ROWS = 500
MAX_LISTED_VERSIONS = 10_000  # erasures of older versions are no longer listed: the whole table must be read


def stored_models(connection: sa.Connection) -> list[str]:
    """The models of the photos' rows, in alphabetical order."""
    return sorted(connection.scalars(sa.select(faces.c.model).distinct()))


def count_faces(connection: sa.Connection, condition: sa.ColumnElement[bool] = sa.true()) -> int:
    return connection.scalars(sa.select(sa.func.count()).select_from(faces).where(condition)).one()


def last_erasure(connection: sa.Connection) -> int:
    """The version of the last erasure; 0 if there was none."""
    return connection.scalar(sa.select(sa.func.max(erased.c.version))) or 0


def read_records(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Record]:
    """The faces that meet the condition, the oldest first."""
    rows = connection.execute(sa.select(*RECORD_COLUMNS).where(condition).order_by(faces.c.id))
    return [Record.from_row(row) for row in rows]


def of_user(connection: sa.Connection, user_id: str) -> sa.ColumnElement[bool]:
    """The condition for a user's faces; also for one whose stored id has bytes that are not UTF-8."""
    if "\\x" not in user_id:
        return faces.c.user_id == user_id
    rows = connection.execute(sa.select(faces.c.id, faces.c.user_id))
    return faces.c.id.in_([row.id for row in rows if row.user_id == user_id])


def next_version(connection: sa.Connection) -> int:
    """Take the number of this transaction's change."""
    connection.execute(sa.update(state).values(version=state.c.version + 1))
    version: int = connection.execute(sa.select(state.c.version)).scalar_one()
    return version


def add_faces(connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard) -> list[Record]:
    """Store the faces that are not stored yet, and return the records of all of them, each once.

    A photo that is stored gets the descriptors that it lacks.
    """
    hashes = [face.content_hashes(person, card) for face in new]
    records = _records_by_hash(connection, [content for own in hashes for content in own])
    missing: dict[str, NewFace] = {}
    for face, own in zip(new, hashes, strict=True):
        if records.keys().isdisjoint(own):
            missing.setdefault(own[0], face)
    if missing:
        version = next_version(connection)
        connection.execute(sa.insert(faces), [face.table_row(person, card, version) for face in missing.values()])
        records |= _records_by_hash(connection, list(missing))
    photos: dict[int, tuple[Record, NewFace]] = {}
    for face, own in zip(new, hashes, strict=True):
        record = next(records[content] for content in own if content in records)
        photos.setdefault(record.face_id, (record, face))
    add_companions(connection, {face_id: face.by_model(card) for face_id, (_, face) in photos.items()})
    return [record for record, _ in photos.values()]


def add_companions(connection: sa.Connection, photos: Mapping[int, Mapping[str, bytes]]) -> int:
    """Give stored photos the descriptors that they lack, by their ids; return how many were added.

    One that is comparable with another of the photo's is left out: a photo has one descriptor in a space.
    """
    several = [face_id for face_id, own in photos.items() if len(own) > 1]
    have: dict[int, set[str]] = {face_id: set() for face_id in several}
    for block in _blocks(several):
        for table, face_id in ((faces, faces.c.id), (companions, companions.c.face_id)):
            for row in connection.execute(sa.select(face_id, table.c.model).where(face_id.in_(block))):
                have[row[0]].add(row[1])
    rows: list[dict[str, Any]] = []
    for photo in several:
        for model, embedding in photos[photo].items():
            if have[photo].isdisjoint(_comparable(model)):
                have[photo].add(model)
                rows.append({"face_id": photo, "model": model, "embedding": embedding})
    if rows:
        version = next_version(connection)
        connection.execute(sa.insert(companions), [row | {"version": version} for row in rows])
    return len(rows)


def _comparable(model: str) -> Models:
    card = find_card(model)
    return comparable_models(card) if card else frozenset({model})


def _records_by_hash(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, Record]:
    wanted = sa.select(*RECORD_COLUMNS, faces.c.content_hash)
    return {
        row.content_hash: Record.from_row(row)
        for block in _blocks(hashes)
        for row in connection.execute(wanted.where(faces.c.content_hash.in_(block)))
    }


def ids_by_hash(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, int]:
    """The ids of stored photos, by their content hashes."""
    wanted = sa.select(faces.c.content_hash, faces.c.id)
    return {
        content: face_id
        for block in _blocks(hashes)
        for content, face_id in connection.execute(wanted.where(faces.c.content_hash.in_(block)))
    }


def _blocks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A database takes only so many values in one statement."""
    return (values[start : start + BATCH_ROWS] for start in range(0, len(values), BATCH_ROWS))


def resolve_person(connection: sa.Connection, person: Person, is_number: bool | None = None) -> Person:
    """Give the person's stored faces the name given now, and the kind of regNo if ``is_number`` says which.

    Returns the person as they are stored. A renamed face counts as changed: a record of that name may now be the same
    person.
    """
    of_person = faces.c.user_id == person.user_id
    stored = connection.execute(sa.select(faces.c.is_number, faces.c.name).where(of_person)).all()
    if is_number is None:
        is_number = bool(stored[0].is_number) if stored else person.numeric
    if any((row.name, bool(row.is_number)) != (person.name, is_number) for row in stored):
        changed = of_person & (faces.c.name.is_distinct_from(person.name) | (faces.c.is_number != is_number))
        values = {"name": person.name, "is_number": is_number, "version": next_version(connection)}
        connection.execute(sa.update(faces).where(changed).values(values))
    return replace(person, numeric=is_number)


def erase_faces(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Record]:
    """Erase the faces that meet the condition, and return their records, without descriptors."""
    no_descriptor = sa.literal(b"")  # or a copy would stay in this process's memory
    columns = [no_descriptor if column is faces.c.embedding else column for column in RECORD_COLUMNS]
    records = [Record.from_row(row) for row in connection.execute(sa.select(*columns).where(condition))]
    if records:
        version = next_version(connection)
        complete_from = version - MAX_LISTED_VERSIONS
        connection.execute(sa.delete(faces).where(condition))
        connection.execute(sa.insert(erased), [{"face_id": record.face_id, "version": version} for record in records])
        connection.execute(sa.delete(erased).where(erased.c.version <= complete_from))
        outdated = state.c.complete_from < complete_from
        connection.execute(sa.update(state).where(outdated).values(complete_from=complete_from))
    return records
