"""Opens the gallery when it is first needed, and runs its blocking calls in threads of its own.

Who matches against posted lists only never loads FAISS or SQLAlchemy, and needs no folder to write to.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from face128.errors import ConfigurationError, DatabaseAway, Face128Error
from face128.process_memory import settle
from face128.settings import Settings
from face128.workers.thread_pool import WorkerPool

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("face128")

THREADS = 4  # a thread waits for the database, or searches and then keeps a core busy
QUEUE = 256
PATIENCE = 2.0  # seconds that /ready waits for the database, and the end for a pause in the loading


class GalleryPool:
    """The gallery, its threads, and whether it can be reached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = WorkerPool("gallery", THREADS, QUEUE)
        self._gallery: Gallery | None = None
        self._opening = threading.Lock()
        self._first: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def in_use(self) -> bool:
        """Whether this service has a gallery: one that is open, or that the settings or the folder promise."""
        url = self._settings.database_url
        return self._gallery is not None or url is not None or self._settings.gallery_file.exists()

    def start(self) -> None:
        """Open the gallery in the background, if there is one."""
        if self.in_use:
            self._first = asyncio.create_task(self._load())

    async def run(self, job: Callable[Concatenate[Gallery, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call of the gallery.

        Raises DatabaseAway where it cannot be reached; the next call tries again.
        """
        return await self._workers.run(lambda: job(self._open(), *args, **kwargs))

    async def problem(self) -> str | None:
        """Why the gallery cannot be used now, in a sentence."""
        if self._first is not None and not self._first.done():
            return "The gallery is being loaded."
        try:
            async with asyncio.timeout(PATIENCE):
                await self.run(lambda gallery: gallery.ping())
        except TimeoutError:
            return "The gallery's database does not answer in time."
        except Face128Error as error:
            return str(error)
        return None

    async def close(self) -> None:
        self._closing = True
        if self._first is not None:
            await self._first
        await asyncio.to_thread(self._workers.close)
        if self._gallery is not None:
            self._gallery.close()

    async def _load(self) -> None:
        try:
            await self.run(lambda gallery: gallery.load())
            sizes = await self.run(lambda gallery: gallery.sizes())
            log.info(
                "the gallery has %s", ", ".join(f"{n} faces of {model}" for model, n in sizes.items()) or "no faces"
            )
            if self._settings.decision == "cohort":
                while not (self._closing or await self.run(lambda gallery: gallery.compare_members(PATIENCE))):
                    pass
        except Face128Error as error:
            log.error("the gallery: %s", error)

    def _open(self) -> Gallery:
        from face128.gallery.gallery import Gallery

        with self._opening:
            if self._gallery is None:
                try:
                    self._gallery = Gallery.from_settings(self._settings)
                except ConfigurationError as error:
                    raise DatabaseAway(str(error)) from None
                settle()
            return self._gallery
