"""Opens the gallery when it is first needed, and runs its blocking calls in their own threads.

Changes have threads of their own: they wait for each other, and for a database that another program has locked. A
search never waits for them.

A service that only matches posted lists never loads FAISS or SQLAlchemy, and needs no folder to write to.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from face128.domain.collection import DEFAULT_COLLECTION
from face128.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    Face128Error,
    GalleryLost,
    GalleryReadOnly,
    NotReady,
)
from face128.gallery.search.rwlock import locked
from face128.gallery.trail.before_answer import when_recorded
from face128.logs import plain_traceback
from face128.process_memory import freeze_heap
from face128.settings import Settings
from face128.workers.thread_pool import ThreadPool

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("face128")

THREADS = 4  # a thread waits for the database, or searches and keeps one core busy
CHANGE_THREADS = 4  # one commits while the others compare; the database has one writer
MAX_QUEUED_CALLS = 256
CHECK_INTERVAL_S = 2.0
PAUSE_S = 1.0
CHECK_WAIT_S = 1.0  # how long /ready waits for a check
BUILD_POLL_S = 2.0  # while the cohorts are built, how soon a close is noticed


class CollectionAccess:
    """The gallery of one collection: all of it that a request can reach."""

    def __init__(self, opened: Callable[[], Gallery], threads: ThreadPool, change_threads: ThreadPool) -> None:
        self._opened, self._threads, self._change_threads = opened, threads, change_threads

    async def run(self, job: Callable[Concatenate[Gallery, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call that reads the gallery. It returns when what the call has noted is recorded.

        Raises DatabaseUnavailable if the gallery cannot be reached; the next call tries again.
        """
        return await when_recorded(self._threads.run(lambda: job(self._opened(), *args, **kwargs)))

    async def change(self, job: Callable[Concatenate[Gallery, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``run``, for a call that changes the gallery."""
        return await when_recorded(self._change_threads.run(lambda: job(self._opened(), *args, **kwargs)))

    def open(self) -> Gallery:
        """The gallery, for a thread that has long work: those of ``run`` are few. Blocks; raises as ``run``."""
        return self._opened()


class GalleryAccess:
    """The gallery with all its collections, its threads, and whether it can be reached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPool("gallery", THREADS, MAX_QUEUED_CALLS)
        self._change_threads = ThreadPool("gallery_changes", CHANGE_THREADS, MAX_QUEUED_CALLS)
        self._gallery: Gallery | None = None
        self._open_lock = threading.Lock()
        self._loading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[Face128Error | None] | None = None
        self._problem: Face128Error | None = None
        """What the last check found."""
        self._failure: Face128Error | None = None
        self._retry_at = 0.0
        """Why the gallery could not be opened after a wait, and when the next one may wait for it."""
        self._file_seen = False
        self._closing = False

    @property
    def in_use(self) -> bool:
        """Whether this service has a gallery: an open one, or one that the settings or the data folder name."""
        self._file_seen = self._file_seen or os.path.exists(self._settings.gallery_file)
        return bool(self._gallery or self._settings.database_url or self._file_seen)

    def start(self) -> None:
        """Open the gallery in the background, if there is one; and watch it from then on."""
        if self.in_use:
            self._loading = asyncio.create_task(self._load())
        elif problem := self._folder_problem():
            log.warning("%s Nobody can be enrolled in %s", problem, self._settings.data)
        self._watching = asyncio.create_task(self._watch())

    def of(self, collection: str) -> CollectionAccess:
        """The gallery of one collection."""

        def opened() -> Gallery:
            return self._open().of_collection(collection)

        return CollectionAccess(opened, self._threads, self._change_threads)

    async def problem(self) -> Face128Error | None:
        """Why the gallery cannot be used now; None if it can.

        One check runs at a time: a database that hangs holds one thread, and the answer is the last check's.
        """
        if not self.in_use:
            return self._folder_problem()
        if self._loading is not None and not self._loading.done():
            return NotReady("The gallery is being loaded.")
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(asyncio.to_thread(self._check))
        await asyncio.wait({self._checking}, timeout=CHECK_WAIT_S)
        if self._checking.done():
            self._problem = self._checking.result()
        elif self._problem is None:
            return DatabaseUnavailable("The gallery's database does not answer in time.")
        return self._problem

    async def close(self) -> None:
        self._closing = True
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(
            *(task for task in (self._loading, self._checking) if task is not None), return_exceptions=True
        )
        await asyncio.to_thread(self._change_threads.close)
        await asyncio.to_thread(self._threads.close)
        if self._gallery is not None:
            self._gallery.close()

    async def _watch(self) -> None:
        """Notice within seconds, in every process, that the gallery is not the one that was opened.

        A gallery that another process has made is opened too: if its file is deleted, none must take its place.
        """
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            if self.in_use:
                await self.problem()

    def _check(self) -> Face128Error | None:
        try:
            self._open().check()
        except Face128Error as error:
            return error
        except Exception as error:  # the next check must come
            log.error("the gallery's check: %s", plain_traceback(error))
            return DatabaseUnavailable()
        return None

    def _folder_problem(self) -> Face128Error | None:
        folder = self._settings.data
        while not os.path.exists(folder) and folder != folder.parent:
            folder = folder.parent
        if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return None
        return GalleryReadOnly("The gallery's folder cannot be written.")

    async def _load(self) -> None:
        try:
            for collection in await self.of(DEFAULT_COLLECTION).run(self._to_load):
                await self._load_collection(collection)
        except Face128Error as error:
            log.error("the gallery: %s", error)

    def _to_load(self, gallery: Gallery) -> list[str]:
        """The default collection, and those with the most faces, as many as are kept open."""
        sizes = gallery.collections()
        others = sorted(sizes.keys() - {DEFAULT_COLLECTION}, key=lambda name: -sizes[name])
        return [DEFAULT_COLLECTION, *others[: self._settings.open_collections]]

    async def _load_collection(self, name: str) -> None:
        access = self.of(name)
        await access.run(lambda gallery: gallery.load())
        sizes = await access.run(lambda gallery: gallery.sizes())
        faces = ", ".join(f"{count} faces of {model}" for model, count in sizes.items())
        log.info("the %s has %s", f"collection {name}" if name else "gallery", faces or "no faces")
        rule = self._settings.rule
        if rule.name == "cohort" or rule.reviews:  # each decision needs the stranger risk: the first must not wait
            tail = self._settings.tail
            while not (self._closing or await access.run(lambda gallery: gallery.build_cohorts(BUILD_POLL_S, tail))):
                pass

    def _open(self) -> Gallery:
        with locked(self._open_lock):
            if self._gallery is None:
                deleted = self._file_seen and not os.path.exists(self._settings.gallery_file)
                self._gallery = self._new_gallery(must_exist=deleted and not self._settings.database_url)
                freeze_heap()
            elif (lost := self._gallery).database.may_be_reopened():
                try:
                    self._gallery = self._new_gallery(must_exist=True)
                except GalleryLost as error:
                    lost.database.lose(error)
                    raise
                lost.close()
                log.info("the gallery is open again")
            return self._gallery

    def _new_gallery(self, *, must_exist: bool = False) -> Gallery:
        from face128.gallery.gallery import Gallery

        start = time.monotonic()
        if self._failure is not None and start < self._retry_at:
            raise type(self._failure)(str(self._failure))
        try:
            gallery = Gallery.from_settings(self._settings, hurried=True, must_exist=must_exist)
        except ConfigurationError as error:
            raise DatabaseUnavailable(str(error)) from None
        except DatabaseUnavailable as error:
            if time.monotonic() > start + PAUSE_S:
                self._failure, self._retry_at = error, time.monotonic() + PAUSE_S
            raise
        gallery.follow_erasures()
        return gallery
