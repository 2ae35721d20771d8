"""What is known about the photo of a face: how it was adjusted, and its quality."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # A JSON object as text; NULL where nothing is known.
    op.add_column("faces", sa.Column("photo_facts", sa.Text))
