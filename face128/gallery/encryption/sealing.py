"""Seals rows where the gallery is encrypted: new ones, renamed ones, and those of a person who loses a photo.

All faces of a person have one key, and a person is sealed or in clear as a whole. The functions are for a writing
transaction; where the gallery is not encrypted, they change nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from face128.gallery.encryption.sealed_texts import Key, new_keys, note_for_destruction
from face128.gallery.people import people, thumbnails
from face128.gallery.rows.records import RECORD_COLUMNS
from face128.gallery.rows.stored_photos import opened_companions
from face128.gallery.rows.stored_rows import (
    SEALED_TEXTS,
    binding,
    clear_row,
    opened,
    tokens,
    vault_of,
)
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import collection_of, companions, faces, in_collection

if TYPE_CHECKING:
    from face128.gallery.encryption.vault import Vault

NO_METADATA = "{}"  # of a sealed row

Values = dict[str, Any]
"""Of a row of ``faces``."""


def sealed_rows(connection: sa.Connection, rows: Sequence[Values]) -> list[Values]:
    """The values of new rows in clear, as they are to be stored."""
    vault = vault_of(connection)
    if vault is None:
        return list(rows)
    keys = _keys_of(connection, vault, dict.fromkeys(row["user_id"] for row in rows))
    collection = collection_of(connection)
    return [_sealed(vault, collection, row, keys[row["user_id"]]) for row in rows]


def sealed_companions(connection: sa.Connection, rows: Sequence[Values]) -> list[Values]:
    """The values of new rows of ``companions``, as they are to be stored; their photos are stored already."""
    vault = vault_of(connection)
    if vault is None:
        return list(rows)
    collection = collection_of(connection)
    photos: dict[int, Any] = {}
    columns = (faces.c.id, faces.c.user_id, faces.c.name, faces.c.record_id, faces.c.key_id)
    for block in in_blocks({row["face_id"] for row in rows}):
        wanted = sa.select(*columns).where(faces.c.id.in_(block), in_collection(connection))
        photos |= {photo.id: photo for photo in connection.execute(wanted)}
    keys = vault.keys(photo.key_id for photo in photos.values() if photo.key_id is not None)
    stored = []
    for row in rows:
        photo = photos[row["face_id"]]
        if photo.key_id is None:
            stored.append(row)
        elif key := keys.get(photo.key_id):
            own = binding(photo.user_id, photo.name, photo.record_id, row["model"])
            stored.append(row | {"embedding": vault.seal(key, row["embedding"], "descriptor", collection, own)})
    return stored


def rename(connection: sa.Connection, ids: Collection[int], name: str | None) -> None:
    """Give a person's faces another name.

    A record's content hash has its name in it, and the photo is not kept: it gets a new one, or the photo would be
    found under the old name. A person has one record at most.
    """
    vault = vault_of(connection)
    is_record = faces.c.record_id == faces.c.user_id
    for block in in_blocks(ids):
        own = faces.c.id.in_(block) & in_collection(connection)
        in_clear = own & faces.c.key_id.is_(None)
        connection.execute(sa.update(faces).where(in_clear).values(name=name))
        connection.execute(sa.update(faces).where(in_clear & is_record).values(content_hash=secrets.token_hex(32)))
        if vault is not None:
            is_sealed = own & faces.c.key_id.is_not(None)
            _seal_again(connection, vault, is_sealed & ~is_record, name=name)
            _seal_again(connection, vault, is_sealed & is_record, name=name, content_hash=secrets.token_hex(32))


def seal_faces(connection: sa.Connection, owners: Mapping[int, str]) -> int:
    """Seal all faces in clear of some people, by their ids, of which the user_ids are given; return how many."""
    vault = vault_of(connection)
    if vault is None or not owners:
        return 0
    user_ids = dict.fromkeys(owners.values())
    keys = dict(zip(user_ids, new_keys(connection, vault, len(user_ids)), strict=True))
    count = 0
    for block in in_blocks(owners):  # by the ids: a user_id may have bytes that no condition finds
        count += _seal_again(connection, vault, faces.c.id.in_(block) & faces.c.key_id.is_(None), keys)
    for user_id in user_ids:
        people.seal(connection, user_id)
    return count


def renew_keys(connection: sa.Connection, key_ids: Collection[str], version: int) -> None:
    """After faces with these keys were deleted: seal what is left of them by new keys, and have these destroyed.

    They are destroyed after the commit, by ``destroying.destroy_keys``. What is sealed anew counts as changed in this
    version: whoever has just read the old rows finds no key for them any more, and reads the new ones.
    """
    vault = vault_of(connection)
    if vault is None:
        return
    for block in in_blocks(key_ids):
        of_keys = faces.c.key_id.in_(block) & in_collection(connection)
        left = list(connection.scalars(sa.select(faces.c.key_id).where(of_keys).distinct()))
        new = dict(zip(left, new_keys(connection, vault, len(left)), strict=True)) if left else {}
        if new:
            _seal_again(connection, vault, faces.c.key_id.in_(left), new)
            sealed_anew = faces.c.key_id.in_([key_id for key_id, _ in new.values()]) & in_collection(connection)
            connection.execute(sa.update(faces).where(sealed_anew).values(version=version))
        note_for_destruction(connection, block)


def _keys_of(connection: sa.Connection, vault: Vault, user_ids: Iterable[str]) -> dict[str, Key]:
    """The key of each person, a new one where they have none. People in clear are sealed."""
    collection = collection_of(connection)
    by_token = {vault.token(user_id, collection): user_id for user_id in user_ids}
    found: dict[str, str] = {}
    in_clear: set[str] = set()
    columns = faces.c.user_id, faces.c.key_id
    for block in in_blocks(by_token):
        texts = [*block, *(() if vault.all_sealed else (by_token[token] for token in block))]
        of_people = faces.c.user_id.in_(texts) & in_collection(connection)
        for stored, key_id in connection.execute(sa.select(*columns).where(of_people).distinct()):
            if key_id is not None and stored in by_token:
                found[by_token[stored]] = key_id
            elif key_id is None and stored not in by_token:
                in_clear.add(stored)
    alive = vault.keys(found.values())
    keys = {user_id: (key_id, alive[key_id]) for user_id, key_id in found.items() if alive.get(key_id)}
    missing = [user_id for user_id in by_token.values() if user_id not in keys]
    keys |= dict(zip(missing, new_keys(connection, vault, len(missing)), strict=True))
    for block in in_blocks(in_clear):
        of_people = faces.c.user_id.in_(block) & faces.c.key_id.is_(None)
        _seal_again(connection, vault, of_people, keys)
    for user_id in in_clear:
        people.seal(connection, user_id)
    return keys


def _seal_again(
    connection: sa.Connection,
    vault: Vault,
    condition: sa.ColumnElement[bool],
    keys: Mapping[str, Key] | None = None,
    **changes: str | None,
) -> int:
    """Seal rows anew, with these changes; return how many. Those that cannot be opened stay as they are.

    ``keys`` are the new keys, by the user_ids of rows in clear or by the ids of the keys of sealed rows; without them
    the rows keep their keys.
    """
    condition &= in_collection(connection)
    columns = *RECORD_COLUMNS, faces.c.content_hash
    names = [column.name for column in columns]
    rows = opened(connection, connection.execute(sa.select(*columns).where(condition).order_by(faces.c.id)).all())
    collection = collection_of(connection)
    sealed: dict[int, Values] = {}
    for row in rows:
        if (clear := clear_row(connection, row)) is None:
            continue
        values = dict(zip(names, clear, strict=True)) | changes
        old = values["key_id"]
        own = (old, vault.keys([old])[old]) if keys is None else keys[values["user_id"] if old is None else old]
        sealed[row[0]] = _sealed(vault, collection, values, own)
    _seal_companions_again(connection, vault, sealed)
    thumbnails.seal_again(connection, vault, {face_id: values["key_id"] for face_id, values in sealed.items()})
    update = sa.update(faces).where(faces.c.id == sa.bindparam("face_id"), in_collection(connection))
    if sealed:
        stored = ("user_id", "name", "record_id", "content_hash", "metadata", "photo_facts", "embedding")
        updated: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in (*stored, "key_id", "sealed")}
        rows_of = [
            {"face_id": face_id} | {f"new_{name}": values[name] for name in updated}
            for face_id, values in sealed.items()
        ]
        connection.execute(update.values(updated), rows_of)
    return len(sealed)


def _seal_companions_again(connection: sa.Connection, vault: Vault, photos: Mapping[int, Values]) -> None:
    """Before the rows of their photos are: as these are to be stored."""
    collection = collection_of(connection)
    columns = companions.c.face_id, companions.c.model, companions.c.embedding
    update = sa.update(companions).values(embedding=sa.bindparam("sealed"))
    own_row = (companions.c.face_id == sa.bindparam("photo")) & (companions.c.model == sa.bindparam("by"))
    update = update.where(own_row & in_collection(connection, companions))
    for block in in_blocks(photos):
        wanted = sa.select(*columns).where(companions.c.face_id.in_(block), in_collection(connection, companions))
        rows = connection.execute(wanted).all()
        sealed = []
        for face_id, model, embedding in opened_companions(connection, [tuple(row) for row in rows]):
            photo = photos[face_id]
            own = binding(photo["user_id"], photo["name"], photo["record_id"], model)
            key = vault.keys([photo["key_id"]])[photo["key_id"]]
            data = vault.seal(key, embedding, "descriptor", collection, own)
            sealed.append({"photo": face_id, "by": model, "sealed": data})
        if sealed:
            connection.execute(update, sealed)


def _sealed(vault: Vault, collection: str, row: Values, key: Key) -> Values:
    """The values of a row in clear, as they are stored."""
    key_id, secret = key
    owner = tokens(vault, collection, (row["user_id"], row["name"], row["record_id"]))
    own = binding(*owner, row["model"])
    texts = {name: row[name] for name in (*SEALED_TEXTS, "content_hash")}
    return row | {
        **dict(zip(("user_id", "name", "record_id"), owner, strict=True)),
        "content_hash": vault.token(row["content_hash"], collection),
        "metadata": NO_METADATA,
        "photo_facts": None,
        "embedding": vault.seal(secret, row["embedding"], "descriptor", collection, own),
        "key_id": key_id,
        "sealed": vault.seal(secret, json.dumps(texts).encode(), "row", collection, own),
    }
