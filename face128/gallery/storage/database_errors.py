"""What an error of a database driver means for the gallery.

SQLAlchemy's classes do not tell: a full disk is an OperationalError in one driver and an InternalError in another, a
damaged file a plain DatabaseError. So the database's own error codes decide.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import sqlalchemy as sa

from face128.errors import (
    DatabaseUnavailable,
    GalleryBusy,
    GalleryCorrupt,
    GalleryFull,
    GalleryReadOnly,
    GallerySchema,
)

Kind = type[DatabaseUnavailable]

# https://sqlite.org/rescode.html. An extended code counts before its primary code.
SQLITE: dict[int, Kind] = {
    sqlite3.SQLITE_BUSY: GalleryBusy,
    sqlite3.SQLITE_LOCKED: GalleryBusy,
    sqlite3.SQLITE_PROTOCOL: GalleryBusy,
    sqlite3.SQLITE_CORRUPT: GalleryCorrupt,
    sqlite3.SQLITE_NOTADB: GalleryCorrupt,
    sqlite3.SQLITE_IOERR_SHORT_READ: GalleryCorrupt,
    sqlite3.SQLITE_READONLY: GalleryReadOnly,
    sqlite3.SQLITE_PERM: GalleryReadOnly,
    sqlite3.SQLITE_CANTOPEN: GalleryReadOnly,
    sqlite3.SQLITE_FULL: GalleryFull,
    # A quota, or a limit on the size of files. Only "no space left" is SQLITE_FULL.
    sqlite3.SQLITE_IOERR_WRITE: GalleryFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: GalleryFull,
}
WRONG_TABLES = ("no such table", "no such column", "already exists")  # SQLite has no code of its own for them
# https://mariadb.com/kb/en/mariadb-error-code-reference/
MYSQL: dict[int, Kind] = {
    **dict.fromkeys((1205, 1213), GalleryBusy),  # lock wait timeout, deadlock
    **dict.fromkeys((1021, 1030, 1114), GalleryFull),  # disk full, error of the storage engine, table full
    **dict.fromkeys((1290, 1792, 1836), GalleryReadOnly),  # --read-only, read-only transaction, read-only mode
    **dict.fromkeys((1050, 1054, 1146), GallerySchema),  # the table exists, no such column, no such table
    **dict.fromkeys((1034, 1194, 1195, 1877), GalleryCorrupt),
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRESQL: dict[str, Kind] = {
    **dict.fromkeys(("55P03", "57014", "40P01", "40001"), GalleryBusy),  # lock, statement timeout, deadlock, conflict
    "53100": GalleryFull,
    "25006": GalleryReadOnly,
    **dict.fromkeys(("42P01", "42P07", "42703"), GallerySchema),
    **dict.fromkeys(("XX001", "XX002"), GalleryCorrupt),
}
UNAVAILABLE = {"OperationalError", "InterfaceError", "InternalError"}
"""The driver's classes for what is no fault of the statement."""


def unavailable(error: Exception) -> DatabaseUnavailable | None:
    """What a request is told about an error of SQLAlchemy or the driver; None if it is a fault of the program."""
    if isinstance(error, sa.exc.TimeoutError):  # no connection of the pool became free
        return GalleryBusy()
    driver_error: Any = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    classes = {base.__name__ for base in type(driver_error).__mro__}  # by name: each driver has its own
    if "Error" not in classes:  # every driver's base class
        return None
    if kind := _kind(driver_error):
        return kind()
    broken = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    return DatabaseUnavailable() if broken or classes & UNAVAILABLE else None


def timed_out(error: BaseException | None) -> bool:
    """Whether the database did not answer in time, as a driver tells it."""
    if error is None:
        return False
    by_psycopg = type(error).__name__ == "ConnectionTimeout"
    return by_psycopg or isinstance(error, TimeoutError) or timed_out(error.__cause__ or error.__context__)


def _kind(error: Any) -> Kind | None:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None) or 0
        if code == sqlite3.SQLITE_ERROR and any(text in str(error) for text in WRONG_TABLES):
            return GallerySchema
        return SQLITE.get(code) or SQLITE.get(code & 0xFF)
    number = error.args[0] if error.args else None
    return MYSQL.get(number) if isinstance(number, int) else POSTGRESQL.get(getattr(error, "sqlstate", None) or "")
