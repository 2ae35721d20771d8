"""The gallery's database (SQLite, MySQL, MariaDB or PostgreSQL), with its tables up to date.

There is one writer at a time: it holds the one row of ``state`` from its first statement to its commit. So two worker
processes cannot both find that a face is new, and versions become visible in the order of their numbers.

A gallery's collections share one database. ``of_collection`` gives the view of one: what a transaction of it reads and
writes is of that collection alone.

A change is acknowledged only if it went into the gallery that was opened: an older version, or another id, is another
gallery. Then everything is refused, until the owner opens the gallery anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from face128.domain.collection import DEFAULT_COLLECTION, check_collection
from face128.errors import (
    DatabaseUnavailable,
    GalleryBusy,
    GalleryFull,
    GalleryLocked,
    GalleryLost,
    GalleryReadOnly,
    GalleryReplaced,
)
from face128.gallery.encryption.rewriting import rewrite
from face128.gallery.rows.all_collections import any_in_clear, faces_with_keys, keys_in_use
from face128.gallery.storage.database_errors import timed_out, unavailable
from face128.gallery.storage.database_url import make_engine, parse_url
from face128.gallery.storage.schema import update_schema
from face128.gallery.storage.sqlite_engine import empty_log
from face128.gallery.storage.sqlite_file import SqliteFile, State, file_of
from face128.gallery.storage.tables import state
from face128.gallery.trail.chain import HEAD, OPTION, Chain, switch
from face128.spans import tracer

if TYPE_CHECKING:
    from face128.gallery.encryption.vault import Vault

log = logging.getLogger("face128")

TIMEOUT_S = 60  # for a statement
LOCK_TIMEOUT_S = 30  # how long a writer waits for another one
REQUEST_TIMEOUT_S = 3.5
REQUEST_LOCK_TIMEOUT_S = 3
MIGRATION_TIMEOUT_S = 600
PAUSE_S = 1  # after a wait in vain, how long nobody else waits: else each thread would, one request after the other
LONG_WAIT_S = 2  # a lock that was not free for so long counts as such a wait
REOPEN_AFTER_S = 6  # all processes must have closed the old file by then: each looks every two seconds


@dataclass
class WriterVersion:
    """The gallery's version as a writing transaction sees it, which nobody else can change: not asked for again."""

    number: int


VERSION = "version"
"""The execution option of a writing connection that has its WriterVersion."""


@dataclass
class _Health:
    """What is known of a database, by all who share it."""

    known: State | None = None
    """The id of the gallery that was opened, and the greatest version seen."""
    lost: GalleryLost | None = None
    lost_at: float = 0.0
    write_failed: bool = False
    paused_until: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    """When the next one may wait for the database: writers, and everybody."""
    trail_on: bool = False
    """Whether deeds were recorded when the database was last asked."""


class Database:
    """Raises ConfigurationError for an invalid URL, DatabaseUnavailable where the database cannot be used.

    ``hurried``: for a request, which is answered within seconds whatever the database does. ``must_exist``: do not
    create the tables, and examine the whole file.
    """

    def __init__(
        self, url: str, *, vault: Vault | None = None, hurried: bool = False, must_exist: bool = False
    ) -> None:
        """``vault`` has the keys of an encrypted gallery. Raises GalleryLocked where they are missing or wrong."""
        self._address = address = parse_url(url)
        self.vault = vault
        self.dialect = address.get_backend_name()
        self._file: SqliteFile | None = None
        self._health = _Health()
        timeouts = (REQUEST_TIMEOUT_S, REQUEST_LOCK_TIMEOUT_S) if hurried else (TIMEOUT_S, LOCK_TIMEOUT_S)
        self._engine = make_engine(address, *timeouts).execution_options(vault=vault)
        self._lock_timeout_s = timeouts[1]
        self._turn = threading.Lock()
        # In PostgreSQL, a repeatable read that has waited for a lock fails.
        level = {"isolation_level": "READ COMMITTED"} if self.dialect == "postgresql" else {}
        self._writer = self._engine.execution_options(writing=True, **level)
        try:
            with self._available():
                self._file = file_of(address, must_exist=must_exist) if self.dialect == "sqlite" else None
                if must_exist and self._file:
                    self._file.verify(thorough=True)
                patient = partial(make_engine, address, MIGRATION_TIMEOUT_S, LOCK_TIMEOUT_S)
                update_schema(self._engine, patient, may_create=not must_exist)
                self._checkpoint("PASSIVE")  # so that the file itself has the gallery's id
                with self._engine.begin() as connection:
                    self._health.known = self._compare(connection, None)
                if self._file:
                    self._file.hold()
                    self._file.check(self._health.known)
                if vault is not None:
                    self._unlock(vault)
        except BaseException:
            self.close()
            raise

    @property
    def collection(self) -> str:
        """The collection that its transactions read and write."""
        return str(self._engine.get_execution_options().get("collection", DEFAULT_COLLECTION))

    def of_collection(self, name: str) -> Database:
        """The same database, whose transactions are those of this collection; see ``tables.in_collection``."""
        view = copy(self)
        view._engine, view._writer = (
            engine.execution_options(collection=check_collection(name)) for engine in (self._engine, self._writer)
        )
        return view

    @contextmanager
    def reading(self, *, compared: bool = False) -> Iterator[sa.Connection]:
        """A transaction that sees the gallery at one version. ``compared``: that is still the one which was opened."""
        known = self._health.known
        with self._available(), self._engine.begin() as connection:
            if compared:
                self._compare(connection, known)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """The only writing transaction. Committed at the end of the block, rolled back on an error."""
        with tracer().span("transaction"), self._in_turn(), self._available(writing=True):
            if self._file:
                self._file.check_writable()
            with self._writer.begin() as connection:
                wanted = sa.select(*HEAD, state.c.gallery_id, state.c.version)
                head: Any = connection.execute(wanted.with_for_update()).one_or_none()
                self._same(head, self._health.known)
                chain = Chain(head) if head is not None and head.trail_on else None
                version = WriterVersion(head.version)
                connection.execution_options(**{OPTION: chain, VERSION: version})
                yield connection
                if chain is not None:
                    chain.write(connection)
            now = head.gallery_id, version.number
            self._health.known = max(now, self._health.known or now)  # only what is committed: the commit may fail
            if self._file:
                self._file.check(now)  # what was committed to a file that is gone is not acknowledged
            self._health.write_failed = False

    def check(self) -> None:
        """Raise the DatabaseUnavailable that a request would meet now, also if none has met it yet."""
        known = self._health.known
        with self.reading() as connection:
            now = self._compare(connection, known)
            self._see_whether_all_is_sealed(connection)
        self._health.known = max(now, self._health.known or now)  # another thread may have seen a later one
        if self._file:
            with self._available():
                self._file.check_writable()
                self._file.check_room()
                self._file.verify()
        if self.vault is not None:
            self.vault.keystore.check()
        if self._health.write_failed:
            with self.writing() as connection:
                connection.execute(sa.update(state).values(indexed=state.c.indexed))

    @property
    def trail_on(self) -> bool:
        """Whether deeds are recorded on the trail; what another process has switched is known within seconds."""
        return self._health.trail_on

    def switch_trail(self, on: bool) -> None:
        """Record deeds from now on, or not, in every process of this gallery. The trail itself says so."""
        if self._health.trail_on != on:
            with self.writing() as connection:
                switch(connection, on)
            self._health.trail_on = on

    def is_writing(self, connection: sa.Connection) -> bool:
        return "writing" in connection.get_execution_options()

    def may_be_reopened(self) -> bool:
        """Whether this database is lost, everybody has had the time to close it, and there is another one."""
        if self._health.lost is None or time.monotonic() < self._health.lost_at + REOPEN_AFTER_S:
            return False
        return self._file is None or self._file.path.exists()

    def lose(self, error: GalleryLost) -> None:
        """Refuse everything with this error, and close the connections."""
        if type(error) is not type(self._health.lost):
            log.error("the gallery's database: %s", error)
        self._health.lost, self._health.lost_at = error, time.monotonic()
        self.close()

    def wipe_log(self, timeout_s: float = 0) -> bool:
        """Wipe erased rows from SQLite's write-ahead log. Returns False while a reader still needs it."""
        if self._file is None:
            return True
        with self._available(), self._engine.connect() as connection:
            return empty_log(connection, timeout_s)

    def rewrite_tables(self) -> None:
        """Write the tables of people anew, so that the files hold nothing that was deleted or replaced."""
        with self._available(writing=True):
            engine = make_engine(self._address, MIGRATION_TIMEOUT_S, LOCK_TIMEOUT_S)
            try:
                with engine.connect() as connection:
                    driver: Any = connection.connection.driver_connection
                    rewrite(driver, self.dialect, LOCK_TIMEOUT_S)
            finally:
                engine.dispose()
        self.wipe_log(LOCK_TIMEOUT_S)

    def empty_caches(self) -> None:
        """Let SQLite's idle connections forget the pages that they have read."""
        pool = self._engine.pool
        if self._file and isinstance(pool, sa.QueuePool):
            with self._available(), ExitStack() as idle:
                for connection in [idle.enter_context(self._engine.connect()) for _ in range(pool.checkedin())]:
                    connection.connection.cursor().execute("PRAGMA shrink_memory")

    @property
    def file(self) -> Path | None:
        """SQLite's file."""
        return self._file.path if self._file else None

    def close(self) -> None:
        self._engine.dispose()
        if self.vault is not None:
            self.vault.close()
        if self._file:
            self._file.release()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One writer of this process at a time: the next one begins at once. Raises GalleryBusy after a long wait.

        SQLite's own waiting for another writer sleeps up to 100 ms between its looks.
        """
        if not self._turn.acquire(timeout=self._lock_timeout_s):
            raise GalleryBusy()
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _available(self, *, writing: bool = False) -> Iterator[None]:
        """Turn the errors of a database that cannot be used into DatabaseUnavailable, and remember them."""
        if self._health.lost is not None:
            raise type(self._health.lost)()
        start = time.monotonic()
        if start < self._health.paused_until[False] or (writing and start < self._health.paused_until[True]):
            raise (GalleryBusy if start >= self._health.paused_until[False] else DatabaseUnavailable)()
        try:
            if self._file:
                self._file.check(self._health.known)
            yield
        except DatabaseUnavailable as error:
            self._remember(error)
            raise
        except Exception as error:
            meaning = self._meaning(error)
            if meaning is None:
                raise
            # The driver's message names hosts and files: only the log may have it.
            log.error("the gallery's database: %s (%s)", getattr(error, "orig", None) or error, meaning.code)
            self._remember(meaning)
            if timed_out(error):
                self._health.paused_until[False] = time.monotonic() + PAUSE_S
            elif isinstance(meaning, GalleryBusy) and time.monotonic() > start + LONG_WAIT_S:
                self._health.paused_until[True] = time.monotonic() + PAUSE_S
            raise meaning from None

    def _meaning(self, error: Exception) -> DatabaseUnavailable | None:
        """What the error means; for a file that is not there any more, that it is not."""
        meaning = unavailable(error)
        if meaning is not None and self._file:
            try:
                self._file.check(self._health.known)
            except DatabaseUnavailable as cause:
                return cause
        return meaning

    def _remember(self, error: DatabaseUnavailable) -> None:
        if isinstance(error, GalleryLost):
            self.lose(error)
        elif isinstance(error, GalleryFull | GalleryReadOnly):
            self._health.write_failed = True

    def _checkpoint(self, mode: str) -> None:
        if self._file:
            with self._engine.connect() as connection:
                connection.connection.cursor().execute(f"PRAGMA wal_checkpoint({mode})")

    def _unlock(self, vault: Vault) -> None:
        """Open the keystore, and find the rows of those whose keys were destroyed: a backup has brought them back."""
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(state.c.gallery_id, state.c.keystore_id)).one()
            vault.unlock(row.gallery_id, row.keystore_id)
            used = keys_in_use(connection)
            gone = sorted(used - vault.keystore.all_ids()) if used else []
            vault.unreadable.note_erased(faces_with_keys(connection, gone))
            self._see_whether_all_is_sealed(connection)

    def _see_whether_all_is_sealed(self, connection: sa.Connection) -> None:
        """Once it is, it stays so: without a key nobody can write any more."""
        if self.vault is not None and not self.vault.all_sealed:
            named = connection.scalar(sa.select(state.c.keystore_id)) is not None
            self.vault.all_sealed = named and not any_in_clear(connection)

    def _compare(self, connection: sa.Connection, known: State | None) -> State:
        """The id and version that the transaction sees.

        Raises GalleryReplaced where ``known``, from before it began, is of another gallery or a later version.
        """
        wanted = sa.select(state.c.gallery_id, state.c.version, state.c.trail_on, state.c.keystore_id)
        return self._same(connection.execute(wanted).one_or_none(), known)

    def _same(self, row: Any, known: State | None) -> State:
        if row is None or (known and (row.gallery_id != known[0] or row.version < known[1])):
            raise GalleryReplaced()
        if row.keystore_id is not None:
            if self.vault is None:
                raise GalleryLocked()
            self.vault.require(row.keystore_id)
        self._health.trail_on = bool(row.trail_on)
        return row.gallery_id, row.version


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
