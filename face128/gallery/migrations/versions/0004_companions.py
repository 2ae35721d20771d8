"""The descriptors of a photo by further models than that of its row."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "companions",
        # A photo's descriptors go with its row, whoever deletes it: a service of the version before, or an operator.
        sa.Column("face_id", sa.Integer, sa.ForeignKey("faces.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("model", sa.String(64), primary_key=True),
        # As faces.embedding.
        sa.Column("embedding", sa.LargeBinary(65535), nullable=False),
        # That of the change that added it, as faces.version.
        sa.Column("version", sa.BigInteger, nullable=False, index=True),
        mysql_engine="InnoDB",
    )
    if op.get_bind().dialect.name == "sqlite":  # heeds foreign keys only where the connection asks for it
        op.execute(
            "CREATE TRIGGER companions_of_erased AFTER DELETE ON faces "
            "BEGIN DELETE FROM companions WHERE face_id = OLD.id; END"
        )
