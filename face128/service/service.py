"""The running service: settings, pools, caches, and the engines that are loaded."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter

from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import ModelCard
from face128.encoding.encode import Encoding, encode
from face128.encoding.self_test import load_engines
from face128.engines.base import Engine
from face128.errors import Face128Error, Overloaded
from face128.events import listener
from face128.match_body import parser
from face128.match_body.json_document import Body
from face128.match_body.list_cache import ListCache
from face128.match_body.uploaded_list import UploadedList
from face128.matching.cohort_builder import MAX_WAITING_REQUESTS, CohortBuilder
from face128.memory_limit import this_process
from face128.photos.photo import Limits
from face128.process_memory import freeze_heap, keep_freed_pages
from face128.service.engines import LoadedEngines
from face128.service.gallery_access import GalleryAccess
from face128.service.measurements import Measurements
from face128.settings import Settings
from face128.workers.memory_budget import MemoryBudget
from face128.workers.process_pool import ProcessPool
from face128.workers.thread_pool import ThreadPool

T = TypeVar("T")

log = logging.getLogger("face128")

IDLE_LISTS_POLL_S = 60.0

KEPT_SHARE = 16  # of the memory: freed memory that the service keeps, at most
LOAD_WAIT_S = 20.0
"""For engines that load within some seconds. A service that starts is stopped no sooner."""
ABANDONED_EXIT_S = 2.0
"""From the end of the grace to a forced exit: time to answer the requests whose work is abandoned."""


class Service:
    """What the routes share. ``start`` returns at once; the engines load and warm up in the background."""

    def __init__(self, settings: Settings, process_pool: ProcessPool | None = None) -> None:
        self.settings = settings
        self.limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        self.process_pool = process_pool or (ProcessPool(settings) if settings.process_isolation else None)
        call = self.process_pool.call if self.process_pool else MemoryBudget().call
        self.photo_pool = ThreadPool("images", settings.threads, settings.queue, call)
        self.engines = LoadedEngines(settings)
        self.gallery = GalleryAccess(settings)
        self.list_cache = ListCache(settings.list_memory, settings.list_seconds)
        self.match_limiter = CapacityLimiter(2)
        """For decisions on large lists: more than two at once gain nothing under the GIL, and each takes memory."""
        self.cohort_builder = CohortBuilder()
        self.cohort_limiter = CapacityLimiter(MAX_WAITING_REQUESTS + 1)
        """For decisions of the cohort rule: all that may wait for a cohort, and a thread for a list that has one."""
        self.body_timeouts: set[asyncio.Timeout] = set()  # the timeouts of the bodies that are being received
        self.when_stopping: list[Callable[[], None]] = []
        """Called once, on the event loop, when the service begins to stop: what would not end by itself ends then."""
        self.measurements = Measurements()
        self.when_stopping.append(self.measurements.stop)
        self.stopping = False
        self._deadline = 0.0
        self._loading: asyncio.Task[None] | None = None
        self._dropping_idle_lists: asyncio.Task[None] | None = None

    def start(self) -> None:
        memory_bytes = this_process().total_bytes()
        keep_freed_pages(memory_bytes and memory_bytes // KEPT_SHARE)
        self._loading = asyncio.create_task(asyncio.to_thread(self._load_engines))
        self._dropping_idle_lists = asyncio.create_task(self._drop_idle_lists())
        self.gallery.start()

    async def wait_until_loaded(self) -> None:
        """Wait until the engines are loaded, or could not be; for LOAD_WAIT_S at most."""
        assert self._loading is not None
        await asyncio.wait({self._loading}, timeout=LOAD_WAIT_S)

    def begin_to_stop(self) -> None:
        """Answer "overloaded" to work that has not begun, and to every new request."""
        if not self.stopping:
            self.stopping = True
            self._deadline = time.monotonic() + self.settings.grace
            self.photo_pool.cancel_queued()
            for timeout in tuple(self.body_timeouts):
                timeout.reschedule(0)
            for end in self.when_stopping:
                end()

    async def stop(self) -> None:
        """Finish the work that runs, within the grace that is left."""
        self.begin_to_stop()
        if self._dropping_idle_lists is not None:
            self._dropping_idle_lists.cancel()
        try:
            async with asyncio.timeout(max(1.0, self._deadline - time.monotonic())):
                if self._loading is not None:
                    await self._loading
                await asyncio.to_thread(self.photo_pool.close)
                await self.gallery.close()
        except TimeoutError:
            log.error("work still runs after %g seconds of grace: it is abandoned", self.settings.grace)
            # Python waits for its threads at exit, and nothing can stop a thread in native code.
            exit_timer = threading.Timer(ABANDONED_EXIT_S, os._exit, (1,))
            exit_timer.daemon = True
            exit_timer.start()
        finally:
            if self.process_pool is not None:
                self.process_pool.close()

    def parse_match(self, body: Body, owner: str, skip_invalid: bool, *, wait: bool = False) -> MatchRequest:
        """The request of a body of /match; ``owner`` may refer to the lists that they uploaded.

        Raises what parser.parse raises, and NotParsed unless it may ``wait`` until a long list is parsed.
        """

        def uploaded(digest: str, card: ModelCard) -> MemberList:
            upload = self.list_cache.uploaded(owner, digest)
            if not wait:
                return upload.parsed(card)
            members = upload.parse(card)
            self.list_cache.make_room()
            return members

        settings = self.settings
        return parser.parse(
            body,
            max_members=settings.max_members,
            rule=settings.rule,
            skip_invalid=skip_invalid,
            uploaded=uploaded,
        )

    def parse_and_cache(self, body: bytes, owner: str, skip_invalid: bool) -> MatchRequest:
        """As ``parse_match``, and put its list into the list cache."""
        request = self.parse_match(body, owner, skip_invalid, wait=True)
        self.list_cache.put(body, request)
        return request

    def store_upload(self, upload: UploadedList, card: ModelCard) -> MemberList:
        """Parse an uploaded list for the model and put it into the list cache.

        Raises DigestMismatch, TooLarge, and what parse_list raises.
        """
        upload.check_digest()
        members = upload.parse(card)
        self.list_cache.put_upload(upload)
        return members

    async def run(self, job: Callable[..., T], *args: object) -> T:
        """Run blocking engine work in the pool; see ThreadPool.run."""
        return await self.photo_pool.run(job, *args)

    def refuse_if_match_queue_full(self) -> None:
        """Raise Overloaded where FACE128_QUEUE large lists wait to be decided."""
        now = self.match_limiter.statistics()
        if now.borrowed_tokens + now.tasks_waiting >= now.total_tokens + self.settings.queue:
            raise Overloaded("Too many large lists are waiting. Try again shortly.")

    async def encode_all(
        self,
        engine: Engine,
        photos: Sequence[tuple[dict[str, Any], bytes]],
        *options: object,
        companions: Sequence[Engine] = (),
        with_thumbnail: bool = False,
    ) -> list[Encoding]:
        """Encode several photos, each with its context, at once. Raises the first one's error, with that context."""
        job = partial(encode, companions=companions, with_thumbnail=with_thumbnail)
        jobs = [self.run(job, engine, data, self.limits, *options) for _, data in photos]
        encodings = []
        for (context, _), outcome in zip(photos, await asyncio.gather(*jobs, return_exceptions=True), strict=True):
            if isinstance(outcome, Face128Error):
                outcome.context |= context
            if isinstance(outcome, BaseException):
                raise outcome
            encodings.append(outcome)
        return encodings

    async def _drop_idle_lists(self) -> None:
        while True:
            await asyncio.sleep(min(IDLE_LISTS_POLL_S, self.settings.list_seconds))
            self.list_cache.drop_idle()

    def _load_engines(self) -> None:
        try:
            for name, engine in self._load():
                self.engines.add(name, engine)
                if isinstance(engine, str):
                    log.error("engine %s: %s", name, engine)
                    continue
                listener().engine_loaded(name, self.engines.get(name).card)
                log.info("engine %s is ready: model %s, licence: %s", name, engine.card.name, engine.card.licence)
        except Exception as error:  # without a reason here, /ready would answer "loading" until the service is stopped
            expected = isinstance(error, Face128Error)
            reason = str(error) if expected else Face128Error.sentence
            log.error("the engines could not be loaded: %s", reason, exc_info=None if expected else error)
            for name, state in self.engines.states().items():
                if state == "loading":
                    self.engines.add(name, reason)
        if problem := self.engines.decision_problem():
            log.warning("%s", problem)
        freeze_heap()

    def _load(self) -> Iterator[tuple[str, Engine | str]]:
        # Warm every thread: each has its own detector or its own process, and the first answer is to be as fast as any.
        if self.process_pool is None:
            return load_engines(self.settings, self.photo_pool.warm)
        loaded = self.process_pool.load()
        self.photo_pool.warm(self.process_pool.ensure_worker)
        return iter(loaded.items())
