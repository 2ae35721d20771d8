"""Opens the gallery when it is first needed, and runs its blocking calls in their own threads.

A service that only matches posted lists never loads FAISS or SQLAlchemy, and needs no folder to write to.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from face128.errors import ConfigurationError, DatabaseUnavailable, Face128Error
from face128.gallery.rwlock import locked
from face128.process_memory import freeze_heap
from face128.settings import Settings
from face128.workers.thread_pool import ThreadPool

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("face128")

THREADS = 4  # a thread waits for the database, or searches and keeps one core busy
MAX_QUEUED_CALLS = 256
PING_TIMEOUT_S = 2.0
BUILD_POLL_S = 2.0  # while the cohorts are built, how soon a close is noticed


class GalleryAccess:
    """The gallery, its threads, and whether it can be reached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPool("gallery", THREADS, MAX_QUEUED_CALLS)
        self._gallery: Gallery | None = None
        self._open_lock = threading.Lock()
        self._loading: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def in_use(self) -> bool:
        """Whether this service has a gallery: an open one, or one that the settings or the data folder name."""
        return bool(self._gallery or self._settings.database_url or self._settings.gallery_file.exists())

    def start(self) -> None:
        """Open the gallery in the background, if there is one."""
        if self.in_use:
            self._loading = asyncio.create_task(self._load())

    async def run(self, job: Callable[Concatenate[Gallery, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call of the gallery.

        Raises DatabaseUnavailable if the gallery cannot be reached; the next call tries again.
        """
        return await self._threads.run(lambda: job(self._open(), *args, **kwargs))

    async def problem(self) -> str | None:
        """Why the gallery cannot be used now, in one sentence; None if it can."""
        if self._loading is not None and not self._loading.done():
            return "The gallery is being loaded."
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self.run(lambda gallery: gallery.ping())
        except TimeoutError:
            return "The gallery's database does not answer in time."
        except Face128Error as error:
            return str(error)
        return None

    async def close(self) -> None:
        self._closing = True
        if self._loading is not None:
            await self._loading
        await asyncio.to_thread(self._threads.close)
        if self._gallery is not None:
            self._gallery.close()

    async def _load(self) -> None:
        try:
            await self.run(lambda gallery: gallery.load())
            sizes = await self.run(lambda gallery: gallery.sizes())
            faces = ", ".join(f"{count} faces of {model}" for model, count in sizes.items())
            log.info("the gallery has %s", faces or "no faces")
            if self._settings.decision == "cohort":
                while not (self._closing or await self.run(lambda gallery: gallery.build_cohorts(BUILD_POLL_S))):
                    pass
        except Face128Error as error:
            log.error("the gallery: %s", error)

    def _open(self) -> Gallery:
        from face128.gallery.gallery import Gallery

        with locked(self._open_lock):
            if self._gallery is None:
                try:
                    self._gallery = Gallery.from_settings(self._settings)
                except ConfigurationError as error:
                    raise DatabaseUnavailable(str(error)) from None
                freeze_heap()
            return self._gallery
