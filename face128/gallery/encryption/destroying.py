"""Destroys the keys of erased people, after the transaction that erased them.

The table ``key_destructions`` lists them: if this process is killed in between, the next one does it.
"""

from __future__ import annotations

import sqlalchemy as sa

from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import key_destructions


def destroy_keys(database: Database) -> bool:
    """Destroy the keys that wait for it. Returns whether nothing of them remains."""
    vault = database.vault
    if vault is None:
        return True
    with database.reading() as connection:
        waiting = list(connection.scalars(sa.select(key_destructions.c.key_id)))
    if not waiting:
        return True
    if not vault.destroy(waiting):
        return False
    with database.writing() as connection:
        for block in in_blocks(waiting):
            connection.execute(sa.delete(key_destructions).where(key_destructions.c.key_id.in_(block)))
    return True
