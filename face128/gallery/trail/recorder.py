"""Writes what must be in the database before an answer goes out: the notes of many requests in one transaction.

A commit takes milliseconds, whatever it writes. While one runs, the notes of further requests gather for the next.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

import sqlalchemy as sa

from face128.errors import Face128Error, GalleryBusy, Overloaded
from face128.gallery.rows.all_collections import as_collection
from face128.gallery.storage.database import Database
from face128.gallery.trail.before_answer import to_await
from face128.logs import plain_traceback

log = logging.getLogger("face128")

MAX_WAITING = 1000  # notes; a request beyond them is refused
TIMEOUT_S = 20.0  # for who waits in their own thread: two transactions, each bounded by the database's own limits
STOP_TIMEOUT_S = 5.0

N = TypeVar("N")


class Recorder(Generic[N]):
    """``write`` writes the notes of one collection, in a writing transaction that is for all of them."""

    def __init__(self, database: Database, write: Callable[[sa.Connection, Sequence[N]], None]) -> None:
        self._database, self._write = database, write
        self._waiting: list[tuple[str, N, Future[None]]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def submit(self, collection: str, note: N) -> None:
        """Have a note written. Returns when it is committed, or leaves that to ``to_await``.

        Raises Overloaded where too many wait, and what the transaction raises.
        """
        done: Future[None] = Future()
        with self._changed:
            if self._stopped or len(self._waiting) >= MAX_WAITING:
                raise Overloaded()
            self._waiting.append((collection, note, done))
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()
        if (gathered := to_await.get()) is not None:
            gathered.append(done)
            return
        try:
            done.result(TIMEOUT_S)
        except TimeoutError:
            raise GalleryBusy() from None

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopped:
                    self._changed.wait()
                taken, self._waiting = self._waiting, []
            if not taken:
                return
            # Cancelled: the client has left, and nothing is answered.
            wanted = [one for one in taken if one[-1].set_running_or_notify_cancel()]
            try:
                self._write_all(wanted)
            except Exception as error:
                if not isinstance(error, Face128Error):  # else it was logged where it was raised
                    log.error("recording: %s", plain_traceback(error))
                for _, _, done in wanted:
                    done.set_exception(type(error)(str(error)) if isinstance(error, Face128Error) else error)
            else:
                for _, _, done in wanted:
                    done.set_result(None)

    def _write_all(self, wanted: Sequence[tuple[str, N, Future[None]]]) -> None:
        notes: dict[str, list[N]] = defaultdict(list)
        for collection, note, _ in wanted:
            notes[collection].append(note)
        if notes:
            with self._database.writing() as connection:
                for collection, own in notes.items():
                    with as_collection(connection, collection):
                        self._write(connection, own)
