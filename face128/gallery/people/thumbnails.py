"""Small pictures of enrolled faces, which are kept for some hours: FACE128_THUMBNAILS_HOURS.

A picture is sealed with the key of its person, so only photos in an encrypted gallery have one. It goes with its photo,
whoever deletes that, and is shown to nobody from its time on, also before the purge has deleted it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from face128.errors import NotFound
from face128.gallery.rows.all_collections import any_row, delete_rows
from face128.gallery.rows.stored_rows import vault_of
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import collection_of, faces, in_collection, thumbnails
from face128.gallery.trail.chain import record
from face128.gallery.trail.entry import timestamp

if TYPE_CHECKING:
    from face128.gallery.encryption.vault import Vault
    from face128.gallery.gallery import Gallery
    from face128.gallery.storage.database import Database

log = logging.getLogger("face128")

NO_THUMBNAIL = "There is no picture of this photo."
MAX_DELETED = 1000  # in one transaction: other changes wait for it

_SEALED = faces.c.user_id, faces.c.record_id, thumbnails.c.key_id, thumbnails.c.sealed
"""What a picture is opened with."""


@dataclass(frozen=True)
class Thumbnail:
    jpeg: bytes
    expires_at: datetime
    """UTC, without a time zone."""


def store(connection: sa.Connection, pictures: Mapping[int, Thumbnail]) -> None:
    """Keep pictures of stored photos, by the photos' ids, instead of those that they have; for a writing transaction.

    A photo in clear gets none.
    """
    vault = vault_of(connection)
    if vault is None or not pictures:
        return
    collection = collection_of(connection)
    _delete(connection, pictures)
    rows = []
    for photo in _photos(connection, pictures):
        if photo.key_id is not None and (key := vault.keys([photo.key_id]).get(photo.key_id)):
            picture = pictures[photo.id]
            rows.append(
                {
                    "face_id": photo.id,
                    "collection": collection,
                    "key_id": photo.key_id,
                    "sealed": vault.seal(key, picture.jpeg, *_binding(collection, photo)),
                    "expires_at": _stored(picture.expires_at),
                }
            )
    if rows:
        connection.execute(sa.insert(thumbnails), rows)


def read(connection: sa.Connection, face_ids: Collection[int], now: datetime) -> dict[int, Thumbnail]:
    """The pictures of these photos whose time is not over, by the photos' ids. What cannot be opened is left out."""
    vault = vault_of(connection)
    if vault is None:
        return {}
    collection = collection_of(connection)
    found: dict[int, Thumbnail] = {}
    for row in _kept(connection, face_ids, now, *_SEALED):
        key = vault.keys([row.key_id]).get(row.key_id)
        jpeg = vault.open(key, row.sealed, *_binding(collection, row)) if key else None
        if jpeg is None:
            log.error("the gallery: the picture of the face %d was changed or is damaged: it is left out", row.id)
        else:
            found[row.id] = Thumbnail(jpeg, _read_time(row.expires_at))
    return found


def kept_until(connection: sa.Connection, face_ids: Collection[int], now: datetime) -> dict[int, datetime]:
    """Until when the pictures of these photos are shown, by the photos' ids."""
    return {row.id: _read_time(row.expires_at) for row in _kept(connection, face_ids, now)}


def show(gallery: Gallery, record_id: str) -> bytes:
    """The JPEG of one photo, by the id that the API has for it. Raises NotFound. The trail says who was looked at."""
    photo = gallery.record(record_id)
    with gallery.database.reading() as connection:
        found = read(connection, [photo.face_id], gallery.retention.now())
    if not found:
        raise NotFound(NO_THUMBNAIL)
    gallery.accounts.note("read", person=photo.person.user_id)
    return found[photo.face_id].jpeg


def seal_again(connection: sa.Connection, vault: Vault, key_ids: Mapping[int, str]) -> None:
    """Seal the pictures of these photos by the keys that the photos are about to have."""
    collection = collection_of(connection)
    own_row = (thumbnails.c.face_id == sa.bindparam("photo")) & in_collection(connection, thumbnails)
    update = sa.update(thumbnails).where(own_row)
    update = update.values(sealed=sa.bindparam("new_sealed"), key_id=sa.bindparam("new_key"))
    sealed = []
    for row in _kept(connection, key_ids, None, *_SEALED):
        if row.key_id == (new := key_ids[row.id]):
            continue
        keys = vault.keys([row.key_id, new])
        binding = _binding(collection, row)
        jpeg = vault.open(keys.get(row.key_id, b""), row.sealed, *binding)
        if jpeg is not None:  # else it stays as it is, and is left out when it is read
            sealed.append({"photo": row.id, "new_key": new, "new_sealed": vault.seal(keys[new], jpeg, *binding)})
    if sealed:
        connection.execute(update, sealed)


def purge(database: Database, now: datetime) -> int:
    """Delete all pictures whose time is over, of all collections; return how many."""
    over = thumbnails.c.expires_at <= _stored(now)
    deleted = 0
    with database.reading() as connection:
        due = any_row(connection, over, thumbnails.c.face_id)
    while due:
        with database.writing() as connection:
            ids = delete_rows(connection, over, thumbnails.c.face_id, MAX_DELETED)
            if ids:
                record(connection, "purge", details={"thumbnails": len(ids)})
        deleted += len(ids)
        due = len(ids) == MAX_DELETED
    return deleted


def _kept(
    connection: sa.Connection, face_ids: Collection[int], now: datetime | None, *columns: sa.ColumnElement[Any]
) -> list[Any]:
    """The rows of these photos' pictures, with these columns; with ``now``, of those whose time is not over."""
    own = (thumbnails.c.face_id == faces.c.id) & in_collection(connection) & in_collection(connection, thumbnails)
    if now is not None:
        own &= thumbnails.c.expires_at > _stored(now)
    wanted = sa.select(faces.c.id, thumbnails.c.expires_at, *columns).where(own)
    return [
        row
        for block in in_blocks(face_ids)
        for row in connection.execute(wanted.where(thumbnails.c.face_id.in_(block)))
    ]


def _photos(connection: sa.Connection, face_ids: Collection[int]) -> list[Any]:
    wanted = sa.select(faces.c.id, faces.c.user_id, faces.c.record_id, faces.c.key_id).where(in_collection(connection))
    return [row for block in in_blocks(face_ids) for row in connection.execute(wanted.where(faces.c.id.in_(block)))]


def _delete(connection: sa.Connection, face_ids: Collection[int]) -> None:
    for block in in_blocks(face_ids):
        own = thumbnails.c.face_id.in_(block) & in_collection(connection, thumbnails)
        connection.execute(sa.delete(thumbnails).where(own))


def _stored(time: datetime) -> str:
    return timestamp(time.replace(tzinfo=UTC))


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _binding(collection: str, photo: Any) -> tuple[str, str, str]:
    """What a picture is bound to, as its photo's row is stored: no two can be exchanged. A new name does not matter."""
    return "thumbnail", collection, f"{photo.user_id}\x1f{photo.record_id}"
