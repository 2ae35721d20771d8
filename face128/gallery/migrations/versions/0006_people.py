"""What is agreed with a person: until when they are kept, and their consent; and when they were last seen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"

# As faces.user_id and faces.collection.
TEXT = sa.String(255).with_variant(mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
CODE = sa.String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
NOTE = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    # A row only where something is known. It goes with the person's last face.
    op.create_table(
        "people",
        sa.Column("collection", CODE, primary_key=True, server_default=""),
        sa.Column("user_id", TEXT, primary_key=True),
        # UTC. MySQL's TIMESTAMP ends in 2038, its DATETIME does not.
        sa.Column("expires_at", sa.DateTime, index=True),
        sa.Column("consent", NOTE),
        # Of the key that the consent is encrypted with, where it is: a key of its own.
        sa.Column("consent_key", CODE),
        # The day of the last decision for this person, in UTC.
        sa.Column("last_seen", sa.Date),
        mysql_engine="InnoDB",
    )
