"""The keys of an encrypted gallery in a transaction: new ones, those to be destroyed, and short texts with their own.

Where the gallery is not encrypted, nothing is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from face128.gallery.rows.stored_rows import vault_of
from face128.gallery.storage.tables import key_destructions, state

if TYPE_CHECKING:
    from face128.gallery.encryption.vault import Vault

Key = tuple[str, bytes]
"""Of a person or a text, with its id."""


def new_keys(connection: sa.Connection, vault: Vault, count: int) -> list[Key]:
    """New keys, for a writing transaction. The keystore has them before the rows that they seal are committed."""
    if not count:
        return []
    if not vault.all_sealed:  # from now on the gallery needs this keystore
        unnamed = sa.update(state).where(state.c.keystore_id.is_(None))
        connection.execute(unnamed.values(keystore_id=vault.keystore_id))
    return vault.new_keys(count)


def destroy_key(connection: sa.Connection, key_id: str | None) -> None:
    """Have the key of a text destroyed, in the transaction that deletes or replaces the text."""
    if key_id is not None:
        note_for_destruction(connection, [key_id])


def seal_text(connection: sa.Connection, text: str, *bound_to: str) -> tuple[str | None, str]:
    """A text that belongs to a person, sealed by a key of its own: the key's id and what to store.

    ``bound_to`` is what the row says where it is. Where the gallery is not encrypted: None and the text.
    """
    vault = vault_of(connection)
    if vault is None:
        return None, text
    ((key_id, key),) = new_keys(connection, vault, 1)
    return key_id, vault.seal(key, text.encode(), "text", *bound_to).hex()


def open_text(connection: sa.Connection, key_id: str | None, stored: str, *bound_to: str) -> str | None:
    """What ``seal_text`` has sealed; None where its key was destroyed, or a bit was changed."""
    vault = vault_of(connection)
    if key_id is None or vault is None:
        return stored if key_id is None else None
    key = vault.keys([key_id]).get(key_id)
    text = vault.open(key, bytes.fromhex(stored), "text", *bound_to) if key else None
    return None if text is None else text.decode()


def note_for_destruction(connection: sa.Connection, key_ids: Sequence[str]) -> None:
    """Have keys destroyed after the commit, by ``destroying.destroy_keys``."""
    known = set(connection.scalars(sa.select(key_destructions.c.key_id).where(key_destructions.c.key_id.in_(key_ids))))
    if new := [{"key_id": key_id} for key_id in dict.fromkeys(key_ids) if key_id not in known]:
        connection.execute(sa.insert(key_destructions), new)
