"""The gallery's tables: the faces, the ids of erased faces, and one row that counts the changes.

Each change takes the next number of ``state.version``. An added face has the number of its change; of an erased face
only the id is kept, with the number of its change. A process that has read the gallery at version 7 only has to read
the rows above 7 to be up to date.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData()

# MySQL's default collation takes "user" and "USÉR" for equal.
Text255 = sa.String(255).with_variant(
    mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)
Code = sa.String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")

faces = sa.Table(
    "faces",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_id", Text255, nullable=False, index=True),
    sa.Column("name", Text255),
    # Little-endian float32.
    sa.Column("embedding", sa.LargeBinary(65535), nullable=False),
    # UTC.
    sa.Column("created_at", sa.TIMESTAMP, nullable=False, server_default=sa.func.current_timestamp()),
    # The id in the records service's API. A face enrolled there has it as its user_id, too.
    sa.Column("record_id", Code, nullable=False, unique=True),
    # Whether regNo was imported as a number; user_id then holds its JSON text.
    sa.Column("is_number", sa.Boolean, nullable=False),
    # JSON as text: a database's own JSON type sorts the keys.
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    # SHA-256 of person, model and image: an enrolment that is sent twice is stored once.
    sa.Column("content_hash", Code, nullable=False, unique=True),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
    # The indexes know faces by id: an id must never be used again.
    sqlite_autoincrement=True,
    mysql_engine="InnoDB",
)

erased = sa.Table(
    "erased",
    metadata,
    sa.Column("face_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
    mysql_engine="InnoDB",
)

state = sa.Table(
    "state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    # Part of this gallery's collection names, since several galleries may share a Milvus.
    sa.Column("gallery_id", Code, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    # A process below this version must read the whole table: older erasures are not listed, or a rebuild is wanted.
    sa.Column("complete_from", sa.BigInteger, nullable=False),
    # The version that Milvus has reached: unlike an index in a process, it is shared and persistent.
    sa.Column("indexed", sa.BigInteger, nullable=False),
    mysql_engine="InnoDB",
)
