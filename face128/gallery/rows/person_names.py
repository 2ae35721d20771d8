"""The names of people by their ids."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from face128.gallery.rows.statements import read_without_descriptors
from face128.gallery.rows.stored_rows import stored_texts
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import faces, in_collection


def names_of(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """Of those of these people who are enrolled and have a name: that of their newest photo."""
    names: dict[str, str] = {}
    forms = dict.fromkeys(form for user_id in user_ids for form in stored_texts(connection, user_id))
    for block in in_blocks(forms):
        newest = (
            sa.select(sa.func.max(faces.c.id))
            .where(faces.c.user_id.in_(block), in_collection(connection))
            .group_by(faces.c.user_id)
        )
        for record in read_without_descriptors(connection, faces.c.id.in_(newest)):
            if record.person.name is not None:
                names[record.person.user_id] = record.person.name
    return names
