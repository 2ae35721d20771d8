"""The SQL of several modules: what they read, and the changes, for ``Database.writing``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from face128.domain.collection import DEFAULT_COLLECTION
from face128.domain.model_card import ModelCard, find_card
from face128.gallery.encryption.sealing import rename, renew_keys, sealed_companions, sealed_rows
from face128.gallery.people import people
from face128.gallery.rows.records import RECORD_COLUMNS, NewFace, Person, Record
from face128.gallery.rows.stored_rows import (
    opened,
    readable,
    record_of,
    records_of,
    stored_as,
    stored_text,
    stored_texts,
    unreadable_ids,
)
from face128.gallery.rows.stored_space import Models, comparable_models
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import VERSION, WriterVersion, fetch_all
from face128.gallery.storage.tables import collection_of, companions, erased, faces, in_collection, state

# Fewer rows than the garbage collector's threshold (700): a million faces are loaded in 5 s. With 10,000 rows, which
# it scans again and again, it takes 8 s.
BATCH_ROWS = 500
MAX_LISTED_VERSIONS = 10_000  # erasures of older versions are no longer listed: the whole table must be read


def stored_models(connection: sa.Connection) -> list[str]:
    """The models of the photos' rows, in alphabetical order."""
    return sorted(connection.scalars(sa.select(faces.c.model).where(in_collection(connection, whole=True)).distinct()))


def all_models(connection: sa.Connection) -> set[str]:
    """The models of all descriptors."""
    return {
        model
        for table in (faces, companions)
        for model in connection.scalars(sa.select(table.c.model).where(in_collection(connection, table)).distinct())
    }


def count_faces(connection: sa.Connection, condition: sa.ColumnElement[bool] = sa.true(), *, whole: bool = True) -> int:
    """``whole``: as of ``in_collection``; False for a condition that has an index of its own."""
    counted = sa.select(sa.func.count()).select_from(faces)
    own = in_collection(connection, whole=whole) & readable(connection)
    return connection.scalars(counted.where(condition, own)).one()


def last_erasure(connection: sa.Connection) -> int:
    """The version of the last erasure; 0 if there was none."""
    return connection.scalar(sa.select(sa.func.max(erased.c.version))) or 0


def read_records(
    connection: sa.Connection, condition: sa.ColumnElement[bool], limit: int | None = None
) -> list[Record]:
    """The faces that meet the condition, the oldest first; at most ``limit`` of them."""
    wanted = sa.select(*RECORD_COLUMNS).where(condition, in_collection(connection)).order_by(faces.c.id)
    rows = connection.execute(wanted.limit(limit))
    return records_of(connection, rows)


def read_without_descriptors(
    connection: sa.Connection, condition: sa.ColumnElement[bool], limit: int | None = None
) -> list[Record]:
    """As ``read_records``, where no copy of a descriptor may stay in this process's memory."""
    columns = [sa.literal(b"") if column is faces.c.embedding else column for column in RECORD_COLUMNS]
    wanted = sa.select(*columns).where(condition, in_collection(connection)).order_by(faces.c.id)
    return records_of(connection, connection.execute(wanted.limit(limit)))


def read_ids(connection: sa.Connection, condition: sa.ColumnElement[bool], limit: int) -> list[int]:
    """The first ids of the faces that meet the condition."""
    wanted = sa.select(faces.c.id).where(condition, in_collection(connection, whole=True))
    return list(connection.scalars(wanted.order_by(faces.c.id).limit(limit)))


def of_user(connection: sa.Connection, user_id: str) -> sa.ColumnElement[bool]:
    """The condition for a user's faces; also for one whose stored id has bytes that are not UTF-8."""
    if "\\x" not in user_id:
        return stored_as(connection, faces.c.user_id, user_id)
    rows = connection.execute(sa.select(faces.c.id, faces.c.user_id).where(in_collection(connection)))
    return faces.c.id.in_([row.id for row in rows if row.user_id == user_id])


def current_version(connection: sa.Connection) -> int:
    """The gallery's version that the transaction sees."""
    if (writing := connection.get_execution_options().get(VERSION)) is not None:
        return int(writing.number)
    version: int = fetch_all(connection, "SELECT version FROM state")[0][0]
    return version


def next_version(connection: sa.Connection) -> int:
    """Take the number of this change, in a writing transaction."""
    version: WriterVersion = connection.get_execution_options()[VERSION]
    version.number += 1
    connection.execute(sa.update(state).values(version=version.number))
    return version.number


def add_faces(
    connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard
) -> list[tuple[Record, NewFace]]:
    """Store the faces that are not stored yet, and return the records of all of them, each once, with its face.

    A photo that is stored gets the descriptors that it lacks.
    """
    hashes = [[stored_hash(connection, content) for content in face.content_hashes(person, card)] for face in new]
    records = _records_by_hash(connection, [content for own in hashes for content in own])
    missing: dict[str, NewFace] = {}
    for face, own in zip(new, hashes, strict=True):
        if records.keys().isdisjoint(own):
            missing.setdefault(own[0], face)
    if missing:
        version = next_version(connection)
        insert_faces(connection, [face.table_row(person, card, version) for face in missing.values()])
        records |= _records_by_hash(connection, list(missing))
    photos: dict[int, tuple[Record, NewFace]] = {}
    for face, own in zip(new, hashes, strict=True):
        record = next(records[content] for content in own if content in records)
        photos.setdefault(record.face_id, (record, face))
    add_companions(connection, {face_id: face.by_model(card) for face_id, (_, face) in photos.items()})
    return list(photos.values())


def add_companions(connection: sa.Connection, photos: Mapping[int, Mapping[str, bytes]]) -> int:
    """Give stored photos the descriptors that they lack, by their ids; return how many were added.

    One that is comparable with another of the photo's is left out: a photo has one descriptor in a space.
    """
    several = [face_id for face_id, own in photos.items() if len(own) > 1]
    have: dict[int, set[str]] = {face_id: set() for face_id in several}
    for block in in_blocks(several):
        for table, face_id in ((faces, faces.c.id), (companions, companions.c.face_id)):
            wanted = sa.select(face_id, table.c.model).where(face_id.in_(block), in_collection(connection, table))
            for row in connection.execute(wanted):
                have[row[0]].add(row[1])
    rows: list[dict[str, Any]] = []
    for photo in several:
        for model, embedding in photos[photo].items():
            if have[photo].isdisjoint(_comparable(model)):
                have[photo].add(model)
                rows.append({"face_id": photo, "model": model, "embedding": embedding})
    if rows:
        version = next_version(connection)
        insert_companions(connection, [row | {"version": version} for row in rows])
    return len(rows)


def insert_faces(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store new rows, as ``NewFace.table_row`` makes them, in the connection's collection."""
    own = {"collection": collection_of(connection)}
    hashes = [stored_hash(connection, row["content_hash"]) for row in rows]
    stored = [row | own | {"content_hash": content} for row, content in zip(rows, hashes, strict=True)]
    sealed = sealed_rows(connection, stored)
    _make_way(connection, sealed)
    connection.execute(sa.insert(faces), sealed)


def _make_way(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Erase what cannot be opened, and has the unique texts of new rows: the same photos, enrolled again."""
    if not unreadable_ids(connection):
        return
    for block in in_blocks(rows):
        same: sa.ColumnElement[bool] = faces.c.content_hash.in_([row["content_hash"] for row in block])
        same |= faces.c.record_id.in_([row["record_id"] for row in block])
        erase_faces(connection, same & ~readable(connection))


def insert_companions(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    own = {"collection": collection_of(connection)}
    connection.execute(sa.insert(companions), sealed_companions(connection, [row | own for row in rows]))


def stored_hash(connection: sa.Connection, content_hash: str) -> str:
    """The stored form of ``NewFace.content_hash``: one photo of one person may be in several collections."""
    collection = collection_of(connection)
    if collection == DEFAULT_COLLECTION:
        return content_hash
    return hashlib.sha256(f"{collection} {content_hash}".encode()).hexdigest()


def forms_of_hashes(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, str]:
    """What rows may have for these content hashes, in clear or sealed, and the hash of each."""
    stored = {stored_hash(connection, content): content for content in hashes}
    return {form: content for own, content in stored.items() for form in stored_texts(connection, own)}


def _comparable(model: str) -> Models:
    card = find_card(model)
    return comparable_models(card) if card else frozenset({model})


def _records_by_hash(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, Record]:
    forms = {form: content for content in hashes for form in stored_texts(connection, content)}
    wanted = sa.select(*RECORD_COLUMNS, faces.c.content_hash).where(in_collection(connection))
    return {
        forms[row[-1]]: record
        for block in in_blocks(forms)
        for row in opened(connection, connection.execute(wanted.where(faces.c.content_hash.in_(block))))
        if (record := record_of(connection, row)) is not None
    }


def ids_by_hash(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, int]:
    """The ids of stored photos, by their content hashes."""
    clear = forms_of_hashes(connection, hashes)
    wanted = sa.select(faces.c.content_hash, faces.c.id).where(in_collection(connection), readable(connection))
    return {
        clear[content]: face_id
        for block in in_blocks(clear)
        for content, face_id in connection.execute(wanted.where(faces.c.content_hash.in_(block)))
    }


def stored_record_ids(connection: sa.Connection, record_ids: Sequence[str]) -> set[str]:
    """Those of these ids of records that are stored."""
    return _stored(connection, faces.c.record_id, record_ids)


def stored_people(connection: sa.Connection, user_ids: Sequence[str]) -> set[str]:
    """Those of these people who have a face."""
    return _stored(connection, faces.c.user_id, user_ids)


def _stored(connection: sa.Connection, column: sa.ColumnElement[str], texts: Sequence[str]) -> set[str]:
    clear = {form: text for text in texts for form in stored_texts(connection, text)}
    wanted = sa.select(column).where(in_collection(connection), readable(connection)).distinct()
    return {clear[form] for block in in_blocks(clear) for form in connection.scalars(wanted.where(column.in_(block)))}


def resolve_person(connection: sa.Connection, person: Person, is_number: bool | None = None) -> Person:
    """Give the person's stored faces the name given now, and the kind of regNo if ``is_number`` says which.

    Returns the person as they are stored. A renamed face counts as changed: a record of that name may now be the same
    person.
    """
    of_person = stored_as(connection, faces.c.user_id, person.user_id) & in_collection(connection)
    columns = faces.c.id, faces.c.is_number, faces.c.name, faces.c.key_id
    stored = connection.execute(sa.select(*columns).where(of_person)).all()
    if is_number is None:
        is_number = bool(stored[0].is_number) if stored else person.numeric
    sealed_name = None if person.name is None else stored_text(connection, person.name)
    names = {False: person.name, True: sealed_name}  # by whether the row is sealed
    renamed = [row.id for row in stored if row.name != names[row.key_id is not None]]
    changed = {row.id for row in stored if bool(row.is_number) != is_number} | set(renamed)
    if changed:
        rename(connection, renamed, person.name)
        values = {"is_number": is_number, "version": next_version(connection)}
        for block in in_blocks(sorted(changed)):
            own = faces.c.id.in_(block) & in_collection(connection)
            connection.execute(sa.update(faces).where(own).values(values))
    return replace(person, numeric=is_number)


def erase_faces(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Record]:
    """Erase the faces that meet the condition, and return their records, without descriptors."""
    records = read_without_descriptors(connection, condition)
    condition &= in_collection(connection)
    rows = connection.execute(sa.select(faces.c.id, faces.c.key_id).where(condition)).all()
    if rows:  # among them any that cannot be opened
        version = next_version(connection)
        complete_from = version - MAX_LISTED_VERSIONS
        connection.execute(sa.delete(faces).where(condition))
        people.forget_gone(connection, {record.person.user_id for record in records})
        renew_keys(connection, {row.key_id for row in rows if row.key_id is not None}, version)
        connection.execute(sa.insert(erased), [{"face_id": row.id, "version": version} for row in rows])
        connection.execute(sa.delete(erased).where(erased.c.version <= complete_from))
        outdated = state.c.complete_from < complete_from
        connection.execute(sa.update(state).where(outdated).values(complete_from=complete_from))
    return records
