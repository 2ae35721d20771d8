"""The connection to the gallery's database: SQLite, MySQL or MariaDB, or PostgreSQL, with its tables up to date.

Writers come one at a time: each holds the one row of ``state`` from its first statement to its commit. So two workers
cannot both find that a face is new, and versions become visible in the order of their numbers.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from face128.errors import ConfigurationError, DatabaseAway
from face128.gallery.tables import state

log = logging.getLogger("face128")

BUSY = 30  # seconds that a writer waits for the writer before it
CONNECT = 5  # seconds until a server counts as away
MIGRATION_LOCK = 128_128  # any number that nothing else takes
QUIET: dict[str, Any] = {"hide_parameters": True}  # they are names and descriptors, and errors would quote them

DRIVERS = {"sqlite": "pysqlite", "mysql": "pymysql", "mariadb": "pymysql", "postgresql": "psycopg"}


class Database:
    """Raises ConfigurationError for a URL that cannot be meant, DatabaseAway when the database cannot be reached."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self.dialect = self._engine.dialect.name
        # PostgreSQL refuses a repeatable read that has waited for a lock.
        level = {"isolation_level": "READ COMMITTED"} if self.dialect == "postgresql" else {}
        self._writer = self._engine.execution_options(writing=True, **level)
        try:
            with _told():
                self._migrate()
        except DatabaseAway:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees the gallery as it is now, and does not change until it ends."""
        with _told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer shares. Committed at the end of the block, undone by an error."""
        with _told(), self._writer.begin() as connection:
            connection.execute(sa.select(state.c.version).with_for_update())
            yield connection

    def is_writing(self, connection: sa.Connection) -> bool:
        """Whether this is a transaction of ``writing``."""
        return "writing" in connection.get_execution_options()

    def wipe(self) -> None:
        """Wipe what SQLite's log still holds of rows that are deleted, as far as no reader is in the way."""
        if self.dialect == "sqlite":
            with _told(), self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        with as_file(files("face128.gallery") / "migrations") as folder, self._writer.connect() as connection:
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            config.attributes["connection"] = connection
            # SQLite's transaction is the lock itself, and PostgreSQL has one that ends with it. MySQL's CREATE TABLE
            # ends transactions, so that its lock is the session's: let go only after the version is committed.
            mysql = self.dialect not in ("sqlite", "postgresql")
            if mysql:
                connection.execute(sa.select(sa.func.get_lock("face128", BUSY)))
                connection.commit()
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                command.upgrade(config, "head")
            if mysql:
                connection.execute(sa.select(sa.func.release_lock("face128")))
                connection.commit()


def plainly(connection: sa.Connection, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement without parameters, in the driver's own types.

    For what each search asks: SQLAlchemy's own way takes three times as long.
    """
    try:
        cursor = connection.connection.cursor()
        cursor.execute(statement)
        found = list(cursor.fetchall())
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as error:
        log.error("the gallery's database: %s", error)
        connection.invalidate()
        raise DatabaseAway() from None
    return found


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        # The driver's own words name hosts and files: they belong into the log.
        log.error("the gallery's database: %s", getattr(error, "orig", None) or error)
        raise DatabaseAway() from None
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseAway() from None
        raise


def _engine(url: str) -> sa.Engine:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
        if address.drivername in ("mysql", "mariadb", "postgresql"):
            address = address.set(drivername=f"{backend}+{DRIVERS[backend]}")
        if backend not in DRIVERS:
            raise ConfigurationError(
                "FACE128_DATABASE_URL begins with sqlite:///, mysql+pymysql:// or postgresql+psycopg://."
            )
        if backend == "sqlite":
            return _sqlite(address)
        options: dict[str, Any] = {"connect_timeout": CONNECT}
        if backend != "postgresql":
            # TIMESTAMP is kept in UTC and handed out in the session's zone.
            options |= {"init_command": "SET time_zone = '+00:00'", "charset": "utf8mb4"}
        return sa.create_engine(
            address, connect_args=options, isolation_level="REPEATABLE READ", pool_pre_ping=True, **QUIET
        )
    except sa.exc.ArgumentError:
        raise ConfigurationError("FACE128_DATABASE_URL is no database's address.") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The database needs a package that is not installed: pip install {error.name}"
        ) from None


def _sqlite(address: sa.URL) -> sa.Engine:
    if not address.database or address.database == ":memory:":
        raise ConfigurationError("The gallery is stored in a file: sqlite:///gallery.sqlite")
    try:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        log.error("the gallery's folder: %s", error)
        raise DatabaseAway() from None
    engine = sa.create_engine(address, connect_args={"timeout": BUSY}, **QUIET)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 leaves BEGIN to us
        cursor = connection.cursor()
        _use_wal(cursor)
        # FULL: what was acknowledged also survives a power cut.
        for pragma in ("synchronous = FULL", "secure_delete = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if "writing" in connection.get_execution_options():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Straight to the driver: before each search, SQLAlchemy's own way would take as long as all else together.
            driver: Any = connection.connection.dbapi_connection
            driver.execute("BEGIN")

    return engine


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """WAL: readers and the writer do not wait for each other. The file keeps it; only a new one is changed.

    Those who change it at the same moment could block each other for ever, so that SQLite refuses all but one at once,
    whatever the timeout.
    """
    deadline = time.monotonic() + BUSY
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
