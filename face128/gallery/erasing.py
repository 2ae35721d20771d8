"""Erasing people, from the table, SQLite's log and this process's memory; also what another process has erased.

What cannot be wiped at once is pending: a thread of each running service tries again every second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from face128.errors import Face128Error, GalleryFull, NotFound
from face128.gallery.background import BackgroundJob
from face128.gallery.encryption.destroying import destroy_keys
from face128.gallery.rows import statements
from face128.gallery.rows.records import Record
from face128.gallery.storage.database import Database
from face128.gallery.storage.disk_reserve import DiskReserve
from face128.gallery.trail import decisions
from face128.gallery.trail.chain import record
from face128.process_memory import OverwritingFreedMemory, trim_heap

FOLLOW_INTERVAL_S = 1.0
FAILED_INTERVAL_S = 10.0  # each failure is a line of the log
WIPE_TIMEOUT_S = 0.2  # how long an erasure waits for readers; no other change can be made meanwhile
RETRY_WIPE_TIMEOUT_S = 0.05

Condition = Callable[[sa.Connection], sa.ColumnElement[bool]]


@dataclass(frozen=True)
class Erasure:
    records: list[Record]
    """What was erased, without descriptors."""
    pending: bool
    """Whether the bytes remain for a while, because another process reads the gallery as it was before."""


class Eraser:
    """``catch_up`` brings this process's indexes up to date, ``catch_up_others`` those of other collections.

    Thread-safe.
    """

    def __init__(self, database: Database, catch_up: Callable[[], None], catch_up_others: Callable[[], None]) -> None:
        self._database, self._catch_up, self._catch_up_others = database, catch_up, catch_up_others
        self._reserve = DiskReserve(database.file) if database.file else None
        self._wiped_version = -1  # of the last erasure of which the log has nothing; unknown at the start
        self._forgotten_version = -1
        self._thread = BackgroundJob(
            "erasing", self._follow, FOLLOW_INTERVAL_S, at_once=False, failed_interval_s=FAILED_INTERVAL_S
        )

    def erase(self, condition: Condition, not_found: str) -> Erasure:
        """Erase the faces that meet the condition. Raises NotFound with this sentence if there are none."""

        def deed(connection: sa.Connection) -> list[Record]:
            records = statements.erase_faces(connection, condition(connection))
            counts = Counter(each.person.user_id for each in records)
            for user_id, count in counts.items():
                record(connection, "erase", person=user_id, details={"faces": count})
            decisions.forget(connection, counts)
            return records

        erasure = self.perform(deed)
        if not erasure.records:
            raise NotFound(not_found)
        return erasure

    def perform(self, deed: Callable[[sa.Connection], list[Record]]) -> Erasure:
        """Let the deed erase faces in a writing transaction, which is begun anew where it finds no room on the disk.

        It returns what it has erased.
        """
        try:
            records = self._commit(deed)
        except GalleryFull:
            self._database.wipe_log()  # the log may be large
            if self._reserve is None or not self._reserve.release():
                raise
            records = self._commit(deed)
            pending = not self.finish()
            self._reserve.fill()
        else:
            pending = bool(records) and not self.finish()
        return Erasure(records, pending)

    def finish(self) -> bool:
        """Forget what has just been erased. Returns whether nothing of it remains; if not, the thread goes on."""
        try:
            self._catch_up()
            wiped = self._wipe(WIPE_TIMEOUT_S)
            return destroy_keys(self._database) and wiped
        except Face128Error:  # logged where it was raised; the rows are erased already
            return False

    def start(self) -> None:
        """Follow what is erased elsewhere, in a thread, until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    def _follow(self) -> None:
        self._forget()
        self._wipe(RETRY_WIPE_TIMEOUT_S)
        if self._reserve:
            self._reserve.fill()
        destroy_keys(self._database)

    def _commit(self, deed: Callable[[sa.Connection], list[Record]]) -> list[Record]:
        with self._database.writing() as connection:
            return deed(connection)

    def _forget(self) -> None:
        """Let this process's memory forget what was erased, here or elsewhere."""
        with OverwritingFreedMemory():  # SQLite frees the pages that have changed when it reads again
            with self._database.reading() as connection:
                version = statements.last_erasure(connection)
            self._catch_up()
            if version != self._forgotten_version:
                self._catch_up_others()
                if self._database.vault is not None:
                    self._database.vault.forget()
                self._database.empty_caches()
        if version != self._forgotten_version:
            trim_heap()
            self._forgotten_version = version

    def _wipe(self, timeout_s: float) -> bool:
        """Whether the log has nothing of any erased face."""
        with self._database.reading() as connection:
            version = statements.last_erasure(connection)
        if version != self._wiped_version and self._database.wipe_log(timeout_s):
            self._wiped_version = version
        return version == self._wiped_version
