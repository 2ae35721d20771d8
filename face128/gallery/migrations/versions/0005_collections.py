"""The collection of a face: several sites or tenants in one gallery."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"

# MySQL's default collation takes "site" and "Site" for equal.
CODE = sa.String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def upgrade() -> None:
    for table, key in (("faces", "id"), ("companions", "face_id")):
        # The empty name is that of the collection of everybody who is enrolled without one.
        op.add_column(table, sa.Column("collection", CODE, nullable=False, server_default=""))
        # Counts a collection, and finds its rows in the order of their ids.
        op.create_index(f"ix_{table}_collection", table, ["collection", key])
