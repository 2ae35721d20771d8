"""Connections to SQLite, and its write-ahead log."""

from __future__ import annotations

import logging
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

log = logging.getLogger("face128")

WAL_RETRY_S = 0.01
LOCK_RETRY_S = 0.003


def sqlite_engine(address: sa.URL, lock_timeout_s: float, **options: Any) -> sa.Engine:
    """For a file that exists: SQLite would make a new one, readable by others, where it has just been deleted."""
    uri = f"file:{quote(str(Path(address.database or '').absolute()))}?mode=rw"
    connect = partial(sqlite3.connect, uri, uri=True, timeout=lock_timeout_s, check_same_thread=False)
    engine = sa.create_engine(address, creator=connect, **options)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 must not begin transactions itself: see begin
        # A row with bytes that are not UTF-8 is listed, with the bytes escaped: it must not hide the others.
        connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
        _use_wal(connection, lock_timeout_s)
        connection.execute("PRAGMA synchronous = FULL")  # acknowledged changes survive a power cut, too
        connection.execute("PRAGMA secure_delete = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if "writing" in connection.get_execution_options():
            _begin_immediate(connection, lock_timeout_s)
        else:
            # Directly by the driver: SQLAlchemy's own way would take as long as everything else before a search.
            driver: Any = connection.connection.dbapi_connection
            driver.execute("BEGIN")

    return engine


def empty_log(connection: sa.Connection, timeout_s: float) -> bool:
    """Move SQLite's log into the file and leave nothing in it. Returns False where readers need it for longer.

    While it waits for them, nobody else can write.
    """
    driver: Any = connection.connection.dbapi_connection
    (before,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute(f"PRAGMA busy_timeout = {round(1000 * timeout_s)}")
    deadline = time.monotonic() + timeout_s
    try:
        # SQLite waits for readers and for a writer, but not for another process that does this.
        while driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(WAL_RETRY_S)
    except sqlite3.OperationalError as error:
        log.error("the gallery's log: %s", error)
        return False
    finally:
        driver.execute(f"PRAGMA busy_timeout = {before}")
    return True


def _begin_immediate(connection: sa.Connection, timeout_s: float) -> None:
    """Begin a writing transaction as soon as nobody else has one.

    SQLite's own waiting looks ever more rarely, at last every 100 ms: beside several writers, half of the time is lost.
    """
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            time.sleep(LOCK_RETRY_S)
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the error is SQLAlchemy's
    finally:
        driver.execute(f"PRAGMA busy_timeout = {round(1000 * timeout_s)}")


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Set the file's journal mode to WAL: readers and the writer do not wait for each other. Changes a new file only.

    SQLite refuses all but one of several simultaneous changes at once, whatever the timeout, since they could deadlock.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(WAL_RETRY_S)
