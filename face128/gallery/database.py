"""The connection to the gallery's database (SQLite, MySQL, MariaDB or PostgreSQL), with its tables up to date.

There is one writer at a time: it holds the one row of ``state`` from its first statement to its commit. So two worker
processes cannot both find that a face is new, and versions become visible in the order of their numbers.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from face128.errors import ConfigurationError, DatabaseUnavailable
from face128.gallery.tables import state

log = logging.getLogger("face128")

LOCK_TIMEOUT_S = 30  # how long a writer waits for another one
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 60
WAL_RETRY_S = 0.01

DRIVERS = {"sqlite": "pysqlite", "mysql": "pymysql", "mariadb": "pymysql", "postgresql": "psycopg"}
# Errors would quote the parameters: names and descriptors.
ENGINE_OPTIONS: dict[str, Any] = {"hide_parameters": True}


class Database:
    """Raises ConfigurationError for an invalid URL, DatabaseUnavailable where the database cannot be reached."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self.dialect = self._engine.dialect.name
        # In PostgreSQL, a repeatable read that has waited for a lock fails.
        level = {"isolation_level": "READ COMMITTED"} if self.dialect == "postgresql" else {}
        self._writer = self._engine.execution_options(writing=True, **level)
        try:
            with as_unavailable():
                self._migrate()
        except DatabaseUnavailable:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees the gallery at one version."""
        with as_unavailable(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """The only writing transaction. Committed at the end of the block, rolled back on an error."""
        with as_unavailable(), self._writer.begin() as connection:
            connection.execute(sa.select(state.c.version).with_for_update())
            yield connection

    def is_writing(self, connection: sa.Connection) -> bool:
        return "writing" in connection.get_execution_options()

    def wipe_log(self) -> None:
        """Wipe erased rows from SQLite's write-ahead log, as far as no reader still needs it."""
        if self.dialect == "sqlite":
            with as_unavailable(), self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        with as_file(files("face128.gallery") / "migrations") as folder, self._writer.begin() as connection:
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            config.attributes["connection"] = connection
            # One process migrates. In SQLite, the transaction is the lock; a server's lock ends with the session, since
            # CREATE TABLE ends transactions in MySQL. A detached connection is closed at the end, not reused.
            if self.dialect != "sqlite":
                connection.detach()
                # 128128: any number that no other program uses.
                postgresql = "SELECT 1 FROM pg_advisory_lock(128128)"
                mysql = f"SELECT get_lock('face128', {LOCK_TIMEOUT_S})"
                if connection.scalar(sa.text(postgresql if self.dialect == "postgresql" else mysql)) != 1:
                    log.error("the gallery's database: another process has held the migration lock for too long")
                    raise DatabaseUnavailable()
            command.upgrade(config, "head")


def fetch_all(connection: sa.Connection, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement without parameters, in the driver's own types.

    For the statements of every search: SQLAlchemy's own way takes three times as long.
    """
    try:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:
        connection.invalidate()
        raise sa.exc.OperationalError(statement, None, error) from error


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn the errors of a database that does not answer into DatabaseUnavailable."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        # The driver's message names hosts and files: only the log may have it.
        log.error("the gallery's database: %s", getattr(error, "orig", None) or error)
        raise DatabaseUnavailable() from None
    except sa.exc.DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise DatabaseUnavailable() from None


def _engine(url: str) -> sa.Engine:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
        if backend not in DRIVERS:
            raise ConfigurationError(
                "FACE128_DATABASE_URL begins with sqlite:///, mysql+pymysql:// or postgresql+psycopg://."
            )
        if address.drivername == backend:
            address = address.set(drivername=f"{backend}+{DRIVERS[backend]}")
        return _sqlite_engine(address) if backend == "sqlite" else _server_engine(address, backend == "postgresql")
    except sa.exc.ArgumentError:
        raise ConfigurationError("FACE128_DATABASE_URL is not a database URL.") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The database needs a package that is not installed: pip install {error.name}"
        ) from None


def _server_engine(address: sa.URL, postgresql: bool) -> sa.Engine:
    options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S}
    if postgresql:
        # These end the wait for a host that does not answer. psycopg has no read timeout for a process that is frozen.
        options |= {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        options |= {"tcp_user_timeout": STATEMENT_TIMEOUT_S * 1000}
        session = f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'; SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'"
    else:
        options |= {"read_timeout": STATEMENT_TIMEOUT_S, "write_timeout": STATEMENT_TIMEOUT_S, "charset": "utf8mb4"}
        # TIMESTAMP is stored in UTC and returned in the session's time zone.
        session = f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}"
    engine = sa.create_engine(
        address, connect_args=options, isolation_level="REPEATABLE READ", pool_pre_ping=True, **ENGINE_OPTIONS
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(session)
        connection.commit()

    return engine


def _sqlite_engine(address: sa.URL) -> sa.Engine:
    if not address.database or address.database == ":memory:":
        raise ConfigurationError("The gallery is stored in a file: sqlite:///gallery.sqlite")
    try:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        log.error("the gallery's folder: %s", error)
        raise DatabaseUnavailable() from None
    engine = sa.create_engine(address, connect_args={"timeout": LOCK_TIMEOUT_S}, **ENGINE_OPTIONS)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 must not begin transactions itself: see begin
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # acknowledged changes survive a power cut, too
        connection.execute("PRAGMA secure_delete = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if "writing" in connection.get_execution_options():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Directly by the driver: SQLAlchemy's own way would take as long as everything else before a search.
            driver: Any = connection.connection.dbapi_connection
            driver.execute("BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Set the file's journal mode to WAL: readers and the writer do not wait for each other. Changes a new file only.

    SQLite refuses all but one of several simultaneous changes at once, whatever the timeout, since they could deadlock.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(WAL_RETRY_S)
