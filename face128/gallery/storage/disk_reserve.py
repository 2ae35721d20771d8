"""Room on the disk for erasing: SQLite writes to its log before it deletes, which a full disk does not let it."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

log = logging.getLogger("face128")

RESERVE_BYTES = 4 * 2**20
"""An erased face takes about 20 kB of the log: this is enough for a person with 200."""
BLOCK = os.urandom(2**16)
"""Random: a file system that compresses would keep no room for zeros."""


class DiskReserve:
    """A file beside the database, which takes up room until it is released. All services of one database share it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-reserve")

    def fill(self) -> None:
        """Take up the room, or as much as there is."""
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES:
                return
            with open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
                while file.seek(0, os.SEEK_END) < RESERVE_BYTES:  # other workers may write to it at the same time
                    file.write(BLOCK)
                os.fsync(file.fileno())

    def release(self) -> bool:
        """Give the room to the next write. Returns whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.warning("the gallery's disk is full: the reserve beside its database is used to erase")
        return True
