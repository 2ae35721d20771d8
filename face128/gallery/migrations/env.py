"""Alembic's entry point: runs the migrations on the connection that the database hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from face128.gallery.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
