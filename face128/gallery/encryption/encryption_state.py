"""What of an encrypted gallery is not as it should be: rows in clear, and rows that cannot be opened."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces, in_collection

MAX_NAMED_FACES = 20


def encryption_state(database: Database) -> dict[str, Any] | None:
    """Of one collection, as far as this process has met it; None if the gallery is not encrypted.

    faces_in_clear: how many are not encrypted yet; ``next_step`` then says how they are. erased_faces: of people whose
    keys were destroyed, brought back by a backup. damaged_faces: those of which a bit was changed, by their ids.
    """
    vault = database.vault
    if vault is None:
        return None
    with database.reading() as connection:
        in_clear = 0 if vault.all_sealed else _count_in_clear(connection)
        erased = _known(connection, vault.unreadable.erased)
        damaged = _known(connection, vault.unreadable.damaged)
    state: dict[str, Any] = {"faces_in_clear": in_clear, "erased_faces": len(erased), "damaged_faces": len(damaged)}
    if damaged:
        state["damaged"] = sorted(damaged)[:MAX_NAMED_FACES]
    return state | ({"next_step": "face128 gallery encrypt"} if in_clear else {})


def _count_in_clear(connection: sa.Connection) -> int:
    own = in_collection(connection) & faces.c.key_id.is_(None)
    return connection.scalars(sa.select(sa.func.count()).select_from(faces).where(own)).one()


def _known(connection: sa.Connection, ids: Collection[int]) -> list[int]:
    """Those of the faces that are still there, and of this collection."""
    found: list[int] = []
    for block in in_blocks(sorted(ids)):
        own = faces.c.id.in_(block) & in_collection(connection)
        found += connection.scalars(sa.select(faces.c.id).where(own))
    return found
