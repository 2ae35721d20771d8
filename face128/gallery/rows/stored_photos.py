"""The descriptors of stored photos, opened without the rest of their rows: for the indexes, which need no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from face128.errors import GalleryLocked
from face128.gallery.rows.records import Record
from face128.gallery.rows.stored_rows import (
    EMBEDDING,
    KEY_ID,
    NAME,
    RECORD_ID,
    USER_ID,
    Embeddings,
    Owner,
    Row,
    binding,
    keys_of,
    opened,
    record_of,
    required_vault,
    tokens,
    vault_of,
)
from face128.gallery.storage.database import fetch_all
from face128.gallery.storage.tables import collection_of, in_collection_sql

OPENING = "id, model, embedding, user_id, name, record_id, key_id"
"""The columns that a descriptor is opened with."""
SealedPhoto = tuple[int, Embeddings, Owner, str | None]
"""The id of a photo, its descriptors, its owner and the id of its key, as they are stored."""

OpenOne = Callable[[bytes, bytes, str], bytes | None]
"""See ``Vault.opener``."""


def require_in_clear(key_ids: Iterable[str | None]) -> None:
    """Raise GalleryLocked if any of the rows is sealed, where there is no vault: another process has encrypted it."""
    if any(key_id is not None for key_id in key_ids):
        raise GalleryLocked()


def opened_descriptors(connection: sa.Connection, rows: Iterable[Sequence[Any]]) -> list[tuple[int, str, bytes]]:
    """The ids, models and descriptors in clear of rows with the columns OPENING; those that can be opened."""
    rows = list(rows)
    vault = required_vault(connection)
    keys = keys_of(connection, {row[6] for row in rows})
    open_one = vault.opener("descriptor", collection_of(connection))
    found: list[tuple[int, str, bytes]] = []
    for face_id, model, data, user_id, name, record_id, key_id in rows:
        if key_id is None:
            found.append((face_id, model, data))
        elif (key := keys[key_id]) is None:
            vault.unreadable.note_erased([face_id])
        elif (clear := open_one(key, data, binding(user_id, name, record_id, model))) is None:
            vault.unreadable.note_damaged(face_id)
        else:
            found.append((face_id, model, clear))
    vault.unreadable.note_opened(row[0] for row in found)
    return found


def opened_photos(connection: sa.Connection, photos: Sequence[SealedPhoto]) -> Iterator[tuple[int, Embeddings, Owner]]:
    """Photos with their descriptors in clear, and their owners as tokens. A descriptor that is empty stays so."""
    vault, collection = required_vault(connection), collection_of(connection)
    asked = any(embedding for _, stored, *_ in photos for embedding in stored.values())
    keys = keys_of(connection, {photo[3] for photo in photos}) if asked else {}
    known = vault.unreadable.ids
    open_one = vault.opener("descriptor", collection)
    for face_id, stored, owner, key_id in photos:
        if key_id is None:
            yield face_id, stored, tokens(vault, collection, owner)
        elif not asked:
            if face_id not in known:
                yield face_id, stored, owner
        elif (key := keys[key_id]) is None:
            vault.unreadable.note_erased([face_id])
        elif (clear := _open_all(open_one, key, owner, stored)) is None:
            vault.unreadable.note_damaged(face_id)
        else:
            vault.unreadable.note_opened([face_id])
            yield face_id, clear, owner


def opened_companions(connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Descriptors of the table companions in clear, as rows of ids, models and descriptors.

    Those that cannot be opened are left out.
    """
    if not rows or (vault := vault_of(connection)) is None:
        return rows
    open_one = vault.opener("descriptor", collection_of(connection))
    ids = ", ".join(map(str, {face_id for face_id, _, _ in rows}))
    own = f"id IN ({ids}) AND {in_collection_sql(connection)}"  # integers: safe in SQL
    wanted = f"SELECT id, user_id, name, record_id, key_id FROM faces WHERE {own}"  # noqa: S608
    photos = {row[0]: ((row[1], row[2], row[3]), row[4]) for row in fetch_all(connection, wanted)}
    keys = keys_of(connection, {key_id for _, key_id in photos.values()})
    found = []
    for face_id, model, embedding in rows:
        owner, key_id = photos[face_id]
        if key_id is None:
            found.append((face_id, model, embedding))
        elif (key := keys[key_id]) is not None:
            clear = open_one(key, embedding, binding(*owner, model))
            if clear is None:
                vault.unreadable.note_damaged(face_id)
            else:
                found.append((face_id, model, clear))
    return found


def records_with_companions(
    connection: sa.Connection, photos: Iterable[tuple[Row, Embeddings]]
) -> Iterator[tuple[Record, Embeddings]]:
    """The records of the rows that can be opened, with the descriptors of their photos; the companions are given."""
    by_id = {row[0]: (row, others) for row, others in photos}
    for row in opened(connection, [row for row, _ in by_id.values()]):
        stored, others = by_id[row[0]]
        if row[KEY_ID] is not None and others:
            vault = required_vault(connection)
            owner = (stored[USER_ID], stored[NAME], stored[RECORD_ID])
            key = vault.keys([row[KEY_ID]]).get(row[KEY_ID], b"")
            clear = _open_all(vault.opener("descriptor", collection_of(connection)), key, owner, others)
            if clear is None:
                vault.unreadable.note_damaged(row[0])
                continue
            others = clear
        if (record := record_of(connection, row)) is not None:
            yield record, {record.model: row[EMBEDDING]} | others


def _open_all(open_one: OpenOne, key: bytes, owner: Owner, stored: Embeddings) -> Embeddings | None:
    clear = {}
    for model, embedding in stored.items():
        data = open_one(key, embedding, binding(*owner, model))
        if data is None:
            return None
        clear[model] = data
    return clear
