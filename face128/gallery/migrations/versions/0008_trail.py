"""The trail of who did what, and the decisions that are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"


def _code(length: int) -> sa.types.TypeEngine[str]:
    """ASCII. MySQL's default collation takes "Site" and "site" for equal."""
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


# As faces.user_id.
TEXT = sa.String(255).with_variant(mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
# ISO 8601 in UTC, with microseconds, as text: its bytes are hashed, and each database's own type rounds it differently.
TIME = _code(32)


def upgrade() -> None:
    # Whether each deed is recorded, and the end of the trail: its last number, that entry's hash, and the seal over
    # all of them (gallery/trail/chain.py). The key makes the persons' marks where the gallery is not encrypted.
    op.add_column("state", sa.Column("trail_on", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("state", sa.Column("trail_seq", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("state", sa.Column("trail_hash", _code(64), nullable=False, server_default=""))
    op.add_column("state", sa.Column("trail_seal", _code(64), nullable=False, server_default=""))
    op.add_column("state", sa.Column("trail_key", _code(64), nullable=False, server_default=""))
    op.create_table(
        "trail",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", _code(80), nullable=False),
        sa.Column("action", _code(32), nullable=False),
        # A keyed hash of the collection and the user_id; "*" for everybody, empty for nobody.
        sa.Column("person", _code(32), nullable=False),
        sa.Column("collection", _code(64), nullable=False),
        sa.Column("request_id", _code(64), nullable=False),
        sa.Column("result", _code(32), nullable=False),
        # JSON in ASCII.
        sa.Column("details", sa.Text, nullable=False),
        # Which key has made the hash; empty: none.
        sa.Column("hash_key", _code(16), nullable=False),
        sa.Column("hash", _code(64), nullable=False),
        sa.Index("ix_trail_person", "person", "seq"),
        mysql_engine="InnoDB",
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("collection", _code(64), nullable=False, server_default=""),
        sa.Column("at", TIME, nullable=False, index=True),
        # When it is deleted, as the service was set when it was made.
        sa.Column("keep_until", TIME, nullable=False, index=True),
        sa.Column("actor", _code(80), nullable=False),
        sa.Column("request_id", _code(64), nullable=False),
        # "search" among all, or "verify" of one person.
        sa.Column("kind", _code(16), nullable=False),
        # As faces.user_id; NULL where nobody was found.
        sa.Column("user_id", TEXT),
        sa.Column("distance", sa.Double),
        sa.Column("risk", sa.Double),
        sa.Column("verdict", _code(16), nullable=False),
        sa.Column("rule", _code(16), nullable=False),
        sa.Column("model", _code(160), nullable=False),
        sa.Index("ix_decisions_collection", "collection", "id"),
        sa.Index("ix_decisions_user_id", "collection", "user_id", "id"),
        # An id is never used again: who reads on from the last one misses none.
        sqlite_autoincrement=True,
        mysql_engine="InnoDB",
    )
