"""An index on names: the faces of a record's person are found by name, without reading anybody else's."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index("ix_faces_name", "faces", ["name"])
