"""The gallery's SQLite file: who may read it, and whether it is still the one that was opened.

SQLite notices neither that the file was deleted or exchanged (its connections go on with the old one), nor that another
program wrote over it. A change would be acknowledged, and be lost. And it takes the log that it finds beside a file for
that file's: the log of the old file would be written into the new one.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from face128.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    GalleryCorrupt,
    GalleryDeleted,
    GalleryFull,
    GalleryReadOnly,
    GalleryReplaced,
)

log = logging.getLogger("face128")

COMPANIONS = ("-wal", "-shm", "-journal")  # SQLite's own files beside the database; created with its permissions
MIN_FREE_BYTES = 2**18  # a change takes up to 100 kB of the log; with less room than this the disk counts as full
QUICK_CHECK_S = 0.2
RELEASE_TIMEOUT_S = 1  # how long the readers of a file that is gone may keep its log

State = tuple[str, int]
"""A gallery's id, and its version."""
Inode = tuple[int, int]


class SqliteFile:
    """Creates the file, unless it must exist, or tightens its permissions.

    Raises DatabaseUnavailable where that is impossible.
    """

    def __init__(self, path: str, *, must_exist: bool = False) -> None:
        self.path = Path(path)
        self._uri = f"file:{quote(str(self.path.absolute()))}"
        self._content: tuple[int, int] | None = None  # the time and size of the file whose content was checked last
        self._checking = threading.Lock()
        self._checkpointed: State | None = None
        self._verified: tuple[int, int] | None = None
        self._holder: sqlite3.Connection | None = None
        self._companions: dict[Path, Inode] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (must_exist or self.path.exists()):
                # Never opened otherwise: at the close, all locks that this process has on the file would be lost.
                with suppress(FileExistsError):  # another process was faster
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            log.error("the gallery's folder: %s", error)
            raise (GalleryFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else GalleryReadOnly)() from None
        self._tighten()
        self._inode = _inode(self._stat())

    def hold(self) -> None:
        """Keep this file and its log open, so that they can be told from others of the same name."""
        self._holder = sqlite3.connect(
            f"{self._uri}?mode=rw", uri=True, timeout=RELEASE_TIMEOUT_S, check_same_thread=False
        )
        self._holder.execute("SELECT 1 FROM sqlite_master").fetchone()
        self._companions = {path: _inode(path.stat()) for path in self._companion_paths() if path.exists()}

    def release(self) -> None:
        """Close it. If another file has its name now, or none, its log goes with it."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        try:
            with closing(holder):
                if self.path.exists() and _inode(self.path.stat()) == self._inode:
                    return
                holder.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (OSError, sqlite3.Error) as error:
            log.error("the log of the gallery's old file: %s", error)
        for path, inode in self._companions.items():
            with suppress(OSError):
                if _inode(path.stat()) == inode:
                    path.unlink()

    def check(self, known: State | None) -> None:
        """Raise GalleryDeleted, GalleryReplaced or GalleryCorrupt where the path leads to another gallery.

        ``known`` is the id and a version of the gallery that was opened. A look at the file's name, time and size.
        """
        now = self._stat()
        if _inode(now) != self._inode:
            raise GalleryReplaced()
        content = (now.st_mtime_ns, now.st_size)
        if known and content != self._content:
            with self._checking:  # else a slower thread would take what it has read for older than it was
                self._check_content(known, shrunk=self._content is not None and now.st_size < self._content[1])
                self._content = content

    def check_writable(self) -> None:
        """Raise GalleryReadOnly where the file must not be written, even if connections that are open still could."""
        if not os.access(self.path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise GalleryReadOnly()

    def check_room(self) -> None:
        """Raise GalleryFull where there is too little room for a change, before one fails."""
        disk = os.statvfs(self.path.parent)
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
            raise GalleryFull()

    def verify(self, *, thorough: bool = False) -> None:
        """Raise GalleryCorrupt where the file's structure is damaged: all of it, or what is seen in a moment."""
        now = self._stat()
        if not thorough and self._verified == (now.st_mtime_ns, now.st_size):
            return
        with closing(sqlite3.connect(f"{self._uri}?mode=ro", uri=True)) as connection:
            # A progress handler is not called during a check of millions of pages.
            timer = threading.Timer(QUICK_CHECK_S, connection.interrupt)
            if not thorough:
                timer.start()
            try:
                found = connection.execute("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)")
                damaged = found.fetchone() != ("ok",)
            except sqlite3.DatabaseError as error:
                damaged = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            finally:
                timer.cancel()
                if not thorough:
                    timer.join()
        if damaged:
            raise GalleryCorrupt() if _inode(self._stat()) == self._inode else GalleryReplaced()
        self._verified = (now.st_mtime_ns, now.st_size)

    def _check_content(self, known: State, *, shrunk: bool) -> None:
        """Compare what is in the file itself with what the log once brought there: an older gallery is another one.

        Read without locks and without the log. While SQLite moves pages from the log into the file, and after a kill in
        the midst of it, the file alone is damaged. Then only the two together tell.
        """
        with closing(sqlite3.connect(f"{self._uri}?immutable=1", uri=True)) as connection:
            try:
                found: State | None = connection.execute("SELECT gallery_id, version FROM state").fetchone()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    if shrunk or not _awaits_pages(connection):
                        self.verify()
                    return
                if self._checkpointed is None:
                    return  # a new gallery: its tables are in the log only
                raise GalleryReplaced() from None
        if found is None or found[0] != known[0] or (self._checkpointed and found[1] < self._checkpointed[1]):
            raise GalleryReplaced()
        self._checkpointed = found

    def _stat(self) -> os.stat_result:
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            raise GalleryDeleted() from None
        except OSError as error:
            log.error("the gallery's file: %s", error)
            raise DatabaseUnavailable() from None

    def _companion_paths(self) -> list[Path]:
        return [self.path.with_name(self.path.name + end) for end in COMPANIONS]

    def _tighten(self) -> None:
        """Take the file from everybody but its owner: descriptors are personal data."""
        for path in (self.path, *self._companion_paths()):
            try:
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & 0o077:
                    path.chmod(mode & 0o700)
                    log.warning("%s could be used by other users (mode %o): it is its owner's alone now", path, mode)
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("%s may be readable by other users: %s", path, error)


def file_of(address: sa.URL, *, must_exist: bool) -> SqliteFile:
    if not address.database or address.database == ":memory:" or address.database.startswith("file:"):
        raise ConfigurationError("The gallery is stored in a file: sqlite:///gallery.sqlite")
    return SqliteFile(address.database, must_exist=must_exist)


def _awaits_pages(connection: sqlite3.Connection) -> bool:
    """Whether the file's first page tells of more pages than the file has: beside readers, most checkpoints end so.

    Of a file that is not being written, SQLite refuses then even what needs the first page only.
    """
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT
    return False


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino
