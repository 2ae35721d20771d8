"""Encrypted rows, the keystore that has their keys, and the keys still to be destroyed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"

KEY_ID = sa.String(32).with_variant(mysql.VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
# Metadata of 16 kB, facts of 16 kB, a name: as JSON in JSON up to 70 kB.
SEALED = sa.LargeBinary(2**24 - 1)


def upgrade() -> None:
    # The key of a sealed row, in the keystore. NULL: the row is in clear.
    op.add_column("faces", sa.Column("key_id", KEY_ID))
    op.add_column("faces", sa.Column("sealed", SEALED))
    op.create_index("ix_faces_key_id", "faces", ["key_id"])
    # Of the keystore that has the keys; NULL until the first row is sealed.
    op.add_column("state", sa.Column("keystore_id", KEY_ID))
    # Keys of erased people: a line is deleted after its key.
    op.create_table("key_destructions", sa.Column("key_id", KEY_ID, primary_key=True), mysql_engine="InnoDB")
