"""The first tables: faces, erased, state. A later step adds to them; this file never changes again."""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

# MySQL's default collation takes "user" and "USÉR" for equal.
MYSQL = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
TEXT = sa.String(255).with_variant(MYSQL, "mysql", "mariadb")
CODE = sa.String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "faces",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("user_id", TEXT, nullable=False, index=True),
        sa.Column("name", TEXT),
        # Little-endian float32.
        sa.Column("embedding", sa.LargeBinary(65535), nullable=False),
        # UTC.
        sa.Column("created_at", sa.TIMESTAMP, nullable=False, server_default=sa.func.current_timestamp()),
        # The id in the records service's API. A face enrolled there has it as its user_id, too.
        sa.Column("record_id", CODE, nullable=False, unique=True),
        # Whether regNo was imported as a number; user_id then holds its JSON text.
        sa.Column("is_number", sa.Boolean, nullable=False),
        # JSON as text: a database's own JSON type sorts the keys.
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        # SHA-256 of person, model and image: an enrolment that is sent twice is stored once.
        sa.Column("content_hash", CODE, nullable=False, unique=True),
        sa.Column("version", sa.BigInteger, nullable=False, index=True),
        # The indexes know faces by id: an id must never be used again.
        sqlite_autoincrement=True,
        mysql_engine="InnoDB",
    )
    op.create_table(
        "erased",
        sa.Column("face_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False, index=True),
        mysql_engine="InnoDB",
    )
    state = op.create_table(
        "state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        # Part of this gallery's collection names, since several galleries may share a Milvus.
        sa.Column("gallery_id", CODE, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        # A process below this version must read the whole table: older erasures are not listed, or a rebuild is wanted.
        sa.Column("complete_from", sa.BigInteger, nullable=False),
        # The version that Milvus has reached: unlike an index in a process, it is shared and persistent.
        sa.Column("indexed", sa.BigInteger, nullable=False),
        mysql_engine="InnoDB",
    )
    op.bulk_insert(state, [{"id": 1, "gallery_id": uuid.uuid4().hex, "version": 0, "complete_from": 0, "indexed": 0}])
