"""The console: who is signed in, what people said of a decision, jobs that post here, thumbnails."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"


def _code(length: int) -> sa.types.TypeEngine[str]:
    """ASCII. MySQL's default collation takes "Site" and "site" for equal."""
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


# As faces.user_id.
TEXT = sa.String(255).with_variant(mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
# ISO 8601 in UTC, as decisions.at.
TIME = _code(32)
BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    # The SHA-256 of the cookie's token, and of the API key with which somebody signed in.
    op.create_table(
        "console_sessions",
        sa.Column("token_hash", _code(64), primary_key=True),
        sa.Column("key_hash", _code(64), nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
        mysql_engine="InnoDB",
    )
    # What somebody said of a decision: "right", "wrong", or "person", with the user_id as that of decisions.
    op.create_table(
        "reviews",
        # A judgement goes with its decision, whoever deletes that.
        sa.Column(
            "decision_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("decisions.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("collection", _code(64), nullable=False, server_default=""),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", _code(80), nullable=False),
        sa.Column("judgement", _code(16), nullable=False),
        sa.Column("user_id", TEXT),
        sa.Index("ix_reviews_user_id", "collection", "user_id"),
        mysql_engine="InnoDB",
    )
    # The few that are to be looked at again, among all.
    op.create_index("ix_decisions_verdict", "decisions", ["collection", "verdict", "id"])
    # Jobs of `face128 reencode --post`, as they report themselves.
    op.create_table(
        "posting_jobs",
        sa.Column("collection", _code(64), primary_key=True),
        sa.Column("job_id", _code(64), primary_key=True),
        sa.Column("actor", _code(80), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        # running, done, failed or interrupted.
        sa.Column("state", _code(16), nullable=False),
        # encoding or enrolling: what the numbers count, photos or people.
        sa.Column("stage", _code(16), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        # JSON in ASCII: the number of failures by their code.
        sa.Column("details", sa.Text, nullable=False),
        mysql_engine="InnoDB",
    )
    # A small picture of an enrolled face, sealed with the person's key.
    op.create_table(
        "thumbnails",
        sa.Column(
            "face_id", sa.Integer, sa.ForeignKey("faces.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
        ),
        sa.Column("collection", _code(64), nullable=False, server_default=""),
        sa.Column("key_id", _code(32), nullable=False),
        sa.Column("sealed", BYTES, nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
        mysql_engine="InnoDB",
    )
    # The people of a collection in the order of their ids, with their names: a page of them, or a search, reads no row.
    op.create_index("ix_faces_person", "faces", ["collection", "user_id", "name"])
    if op.get_bind().dialect.name == "sqlite":  # heeds foreign keys only where the connection asks for it
        op.execute(
            "CREATE TRIGGER thumbnails_of_erased AFTER DELETE ON faces "
            "BEGIN DELETE FROM thumbnails WHERE face_id = OLD.id; END"
        )
        op.execute(
            "CREATE TRIGGER reviews_of_deleted AFTER DELETE ON decisions "
            "BEGIN DELETE FROM reviews WHERE decision_id = OLD.id; END"
        )
