"""The rows of the tables as they are stored: in clear, or sealed where the gallery is encrypted.

Only this file and ``stored_photos`` know the difference; ``sealing`` makes it. A connection's option ``vault`` has the
keys; without it all rows are in clear. Of a sealed row, the columns ``user_id``, ``name``, ``record_id`` and
``content_hash`` hold tokens: keyed hashes, equal where the texts are. So SQL still compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from face128.errors import GalleryLocked
from face128.gallery.rows.records import RECORD_COLUMNS, Record
from face128.gallery.storage.tables import collection_of, faces

if TYPE_CHECKING:
    from face128.gallery.encryption.vault import Vault

Row = Sequence[Any]
"""The values of RECORD_COLUMNS, by SQLAlchemy or the driver, and others after them."""

Embeddings = dict[str, bytes]
"""The stored descriptors of a photo, by their models."""
Owner = tuple[str, str | None, str]
"""The user_id, the name and the id of the record, as they are stored."""

SEALED_TEXTS = ("user_id", "name", "record_id", "metadata", "photo_facts")
"""What the column ``sealed`` has, as JSON; and the content hash."""

_PLACES = {column.name: place for place, column in enumerate(RECORD_COLUMNS)}
EMBEDDING, USER_ID, NAME, RECORD_ID = (_PLACES[name] for name in ("embedding", "user_id", "name", "record_id"))
_MODEL, KEY_ID, _SEALED = (_PLACES[name] for name in ("model", "key_id", "sealed"))
"""The places of these columns in a Row."""
_SEALED_PLACES = [(name, _PLACES[name]) for name in SEALED_TEXTS]


def vault_of(connection: sa.Connection) -> Vault | None:
    vault: Vault | None = connection.get_execution_options().get("vault")
    return vault


def opened(connection: sa.Connection, rows: Iterable[Row]) -> list[Row]:
    """The rows with their descriptors in clear. Those that cannot be opened are left out."""
    rows = list(rows)
    keys = keys_of(connection, {row[KEY_ID] for row in rows})
    if not keys:
        return rows
    vault = required_vault(connection)
    open_one = vault.opener("descriptor", collection_of(connection))
    found: list[Row] = []
    for row in rows:
        if (key_id := row[KEY_ID]) is None:
            found.append(row)
        elif (key := keys[key_id]) is None:
            vault.unreadable.note_erased([row[0]])
        else:
            embedding = row[EMBEDDING]  # empty where it was not asked for
            own = binding(row[USER_ID], row[NAME], row[RECORD_ID], row[_MODEL])
            if embedding and (embedding := open_one(key, embedding, own)) is None:
                vault.unreadable.note_damaged(row[0])
            else:
                found.append((row[0], embedding, *row[2:]))
    return found


def record_of(connection: sa.Connection, row: Row) -> Record | None:
    """The record of a row that ``opened`` gave; None if the rest of it cannot be opened."""
    clear = clear_row(connection, row)
    if clear is None:
        return None
    owner = (row[USER_ID], row[NAME], row[RECORD_ID])
    if row[KEY_ID] is not None:
        return Record.from_row(clear, owner)
    vault = vault_of(connection)
    return Record.from_row(row, None if vault is None else tokens(vault, collection_of(connection), owner))


def records_of(connection: sa.Connection, rows: Iterable[Row]) -> list[Record]:
    """The records of the rows that can be opened."""
    records = (record_of(connection, row) for row in opened(connection, rows))
    return [record for record in records if record is not None]


def clear_row(connection: sa.Connection, row: Row) -> Row | None:
    """A row that ``opened`` gave, with all its texts in clear; of a column content_hash after them, too."""
    key_id = row[KEY_ID]
    if key_id is None:
        return row
    vault = required_vault(connection)
    key = vault.keys([key_id]).get(key_id)
    if key is None:
        vault.unreadable.note_erased([row[0]])
        return None
    collection = collection_of(connection)
    own = binding(row[USER_ID], row[NAME], row[RECORD_ID], row[_MODEL])
    text = vault.open(key, row[_SEALED], "row", collection, own)
    if text is None:
        vault.unreadable.note_damaged(row[0])
        return None
    clear = [*row]
    sealed = json.loads(text)
    for name, place in _SEALED_PLACES:
        clear[place] = sealed[name]
    if len(clear) > len(RECORD_COLUMNS) and clear[-1] == vault.token(sealed["content_hash"], collection):
        clear[-1] = sealed["content_hash"]
    return clear


def stored_owner(connection: sa.Connection, owner: Owner) -> Owner:
    """An owner in clear, as ``opened_photos`` gives those of stored photos."""
    vault = vault_of(connection)
    return owner if vault is None else tokens(vault, collection_of(connection), owner)


def tokens(vault: Vault, collection: str, owner: Owner) -> Owner:
    """An owner in clear, as sealed rows have it."""
    user_id, name, record_id = owner
    named = None if name is None else vault.token(name, collection)
    return vault.token(user_id, collection), named, vault.token(record_id, collection)


def binding(user_id: str, name: str | None, record_id: str, model: str) -> str:
    """What sealed values of a row are bound to, as it is stored: no two rows can exchange them."""
    return f"{user_id}\x1f{name or ''}\x1f{record_id}\x1f{model}"


def keys_of(connection: sa.Connection, key_ids: set[str | None]) -> dict[str, bytes | None]:
    """The keys with these ids, None for each that was destroyed; without a key no row may be sealed."""
    wanted = [key_id for key_id in key_ids if key_id is not None]
    if not wanted:
        return {}
    found = required_vault(connection).keys(wanted)
    return {key_id: found.get(key_id) for key_id in wanted}


def required_vault(connection: sa.Connection) -> Vault:
    vault = vault_of(connection)
    if vault is None:
        raise GalleryLocked()
    return vault


def unreadable_ids(connection: sa.Connection) -> frozenset[int]:
    """The ids of the faces that this process knows it cannot open."""
    vault = vault_of(connection)
    return vault.unreadable.ids if vault else frozenset()


def readable(connection: sa.Connection) -> sa.ColumnElement[bool]:
    """The condition for all rows but those that this process knows it cannot open."""
    ids = unreadable_ids(connection)
    if not ids:
        return sa.true()
    # Integers, in the text: a database takes only so many values apart from it.
    return sa.literal_column(f"faces.id NOT IN ({', '.join(map(str, sorted(ids)))})", sa.Boolean)


def stored_text(connection: sa.Connection, text: str) -> str:
    """What a new row has for this text in ``user_id``, ``name``, ``record_id`` or ``content_hash``."""
    vault = vault_of(connection)
    return text if vault is None else vault.token(text, collection_of(connection))


def stored_texts(connection: sa.Connection, text: str) -> tuple[str, ...]:
    """What rows may have for this text: its token, and the text itself where rows are in clear."""
    vault = vault_of(connection)
    if vault is None:
        return (text,)
    token = vault.token(text, collection_of(connection))
    return (token,) if vault.all_sealed else (token, text)


def stored_as(
    connection: sa.Connection, column: sa.ColumnElement[Any], text: str, table: Any = faces
) -> sa.ColumnElement[bool]:
    """The condition for the rows that have this text in the column, in clear or sealed.

    A text that is somebody's token finds nobody: the token only counts in sealed rows.
    """
    vault = vault_of(connection)
    in_clear: sa.ColumnElement[bool] = column == text
    if vault is None:
        return in_clear
    token = vault.token(text, collection_of(connection))
    if vault.all_sealed:
        sealed: sa.ColumnElement[bool] = column == token
        return sealed
    is_sealed: sa.ColumnElement[bool] = table.c.key_id.is_not(None)
    return ((column == token) & is_sealed) | (in_clear & ~is_sealed)
