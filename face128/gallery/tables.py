"""The gallery's tables: the faces, what was erased, and one row that counts the changes.

Each change of the gallery takes the next number of ``state.version``. An added face carries the number of its change,
an erased one leaves its bare row number with the number of its change: whoever knows the gallery as it was at version
7 reads what is above 7, and knows it as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData()

# MySQL's own comparison takes "user" and "USÉR" for one.
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
    # Document 2's id. A record made there has it for its user_id as well.
    sa.Column("record_id", Code, nullable=False, unique=True),
    # Whether regNo was imported as a number; user_id holds its JSON text then.
    sa.Column("is_number", sa.Boolean, nullable=False),
    # JSON, kept as text: a database's own JSON type sorts the keys.
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    # SHA-256 of person, model and image: an enrolment that is sent twice is stored once.
    sa.Column("content_hash", Code, nullable=False, unique=True),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
    # Row numbers name faces in the indexes: one that was erased must never come back as another's.
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
    # Names the collections of this gallery in a Milvus that several share.
    sa.Column("gallery_id", Code, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    # Whoever stands below this version reads the whole table: erasures are no longer listed, or a rebuild is wanted.
    sa.Column("complete_from", sa.BigInteger, nullable=False),
    # The version that Milvus stands at: unlike an index in a process, it is shared and stays.
    sa.Column("indexed", sa.BigInteger, nullable=False),
    mysql_engine="InnoDB",
)
