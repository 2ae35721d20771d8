"""The columns of the gallery's tables: the faces, the ids of erased faces, and one row that counts the changes.

A row of ``faces`` is a photo, with its descriptor by one model; ``companions`` has those by other models, and the
database deletes them with the photo.

The migrations define them in full. Each change takes the next number of ``state.version``. An added face or companion
has the number of its change; of an erased face only the id is kept, with the number of its change. A process that has
read the gallery at version 7 only has to read the rows above 7 to be up to date.
"""

from __future__ import annotations

import sqlalchemy as sa

faces = sa.table(
    "faces",
    sa.column("id", sa.Integer),
    sa.column("user_id", sa.String),
    sa.column("name", sa.String),
    sa.column("embedding", sa.LargeBinary),
    sa.column("created_at", sa.TIMESTAMP),
    sa.column("record_id", sa.String),
    sa.column("is_number", sa.Boolean),
    sa.column("metadata", sa.Text),
    sa.column("model", sa.String),
    sa.column("content_hash", sa.String),
    sa.column("version", sa.BigInteger),
    sa.column("photo_facts", sa.Text),
)
companions = sa.table(
    "companions",
    sa.column("face_id", sa.Integer),
    sa.column("model", sa.String),
    sa.column("embedding", sa.LargeBinary),
    sa.column("version", sa.BigInteger),
)
erased = sa.table("erased", sa.column("face_id", sa.Integer), sa.column("version", sa.BigInteger))
state = sa.table("state", *map(sa.column, ("id", "gallery_id", "version", "complete_from", "indexed")))
