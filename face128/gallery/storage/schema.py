"""Brings the gallery's tables up to date, by Alembic. Tables of a later version are left as they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.resources import as_file, files

import sqlalchemy as sa

from face128.errors import GalleryBusy, GallerySchema

log = logging.getLogger("face128")

MIGRATION_LOCK_TIMEOUT_S = 30

LATER_SCHEMA = "The gallery's tables are of a later version of face128 than this one. Nothing was changed."

alembic_version = sa.table("alembic_version", sa.column("version_num", sa.String))


def update_schema(engine: sa.Engine, make_patient: Callable[[], sa.Engine], *, may_create: bool) -> None:
    """Create the tables, or update them: on another engine, since that may take minutes.

    Raises GallerySchema for tables that this version does not know, and for a database without any that must have some.
    """
    with engine.connect() as connection:
        found = _version(connection)
    known = released_versions()
    if found == known[-1]:
        return
    if found not in known and (found is not None or not may_create):
        log.error("the gallery's tables are of version %s, this service knows up to %s", found, known[-1])
        raise GallerySchema(LATER_SCHEMA if found else None)
    patient = make_patient()
    try:
        # A repeatable read would not see the tables that another process has made while this one waited.
        level = {"isolation_level": "READ COMMITTED"} if patient.dialect.name == "postgresql" else {}
        _migrate(patient.execution_options(writing=True, **level))
    finally:
        patient.dispose()


def released_versions() -> list[str]:
    """The numbers of the migrations, in their order: ``versions/0001_faces.py`` is 0001."""
    folder = files("face128.gallery.migrations.versions")
    return sorted(entry.name.partition("_")[0] for entry in folder.iterdir() if entry.name[:1].isdigit())


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(sa.select(alembic_version.c.version_num))


def _migrate(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    with as_file(files("face128.gallery") / "migrations") as folder, engine.begin() as connection:
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        # One process migrates. In SQLite, the transaction is the lock; a server's lock ends with the session, since
        # CREATE TABLE ends transactions in MySQL. A detached connection is closed at the end, not reused.
        dialect = engine.dialect.name
        if dialect != "sqlite":
            connection.detach()
            # 128128: any number that no other program uses.
            postgresql = "SELECT 1 FROM pg_advisory_lock(128128)"
            mysql = f"SELECT get_lock('face128', {MIGRATION_LOCK_TIMEOUT_S})"
            if connection.scalar(sa.text(postgresql if dialect == "postgresql" else mysql)) != 1:
                log.error("the gallery's database: another process has held the migration lock for too long")
                raise GalleryBusy()
        command.upgrade(config, "head")
