"""The running service: its settings, its worker pool and the engines it has loaded."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from anyio import CapacityLimiter

from face128.domain.members import MatchRequest
from face128.encoding.encode import Encoding, encode
from face128.encoding.self_test import load_all
from face128.engines.base import Engine
from face128.errors import InvalidRequest, NotReady, Overloaded
from face128.events import watcher
from face128.match_body import parser
from face128.match_body.json_document import Body
from face128.match_body.list_cache import ListCache
from face128.matching.cohort_builder import MAX_WAITING_REQUESTS, CohortBuilder
from face128.photos.photo import Limits
from face128.process_memory import settle
from face128.service.gallery_access import GalleryPool
from face128.settings import Settings
from face128.workers.process_pool import EngineProcesses
from face128.workers.thread_pool import WorkerPool

T = TypeVar("T")

log = logging.getLogger("face128")


class Service:
    """What the routes share. ``start`` returns at once; the engines load and warm up in the background."""

    def __init__(self, settings: Settings, processes: EngineProcesses | None = None) -> None:
        self.settings = settings
        self.limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        self.processes = processes or (EngineProcesses(settings) if settings.in_processes else None)
        call = self.processes.call if self.processes else None
        self.workers = WorkerPool("images", settings.threads, settings.queue, call)
        self.gallery = GalleryPool(settings)
        self.lists = ListCache(settings.list_memory)
        self.matching = CapacityLimiter(2)
        """Large lists decided at once: more would gain nothing under the GIL, and each takes memory."""
        self.cohorts = CohortBuilder()
        self.standing = CapacityLimiter(MAX_WAITING_REQUESTS + 1)
        """Lists by which a probe's standing is told at once: one thread is left for a known list."""
        self.failures: dict[str, str] = {}
        """Why an engine could not be loaded, by its name."""
        self.reading: set[asyncio.Timeout] = set()
        """What bodies that are being received wait for."""
        self.stopping = False
        self._deadline = 0.0
        self._engines: dict[str, Engine] = {}
        self._loading: asyncio.Task[None] | None = None

    @property
    def default_engine(self) -> str:
        return self.settings.engines[0]

    @property
    def ready(self) -> bool:
        """Whether the default engine is loaded and every thread has warmed it."""
        return self.default_engine in self._engines

    def states(self) -> dict[str, str]:
        """For each engine of the settings: "ready", "loading", or why it could not be loaded."""
        return {
            name: "ready" if name in self._engines else self.failures.get(name, "loading")
            for name in self.settings.engines
        }

    def licences(self) -> dict[str, str]:
        """What the weights of each loaded model allow, by the model's name."""
        return {engine.card.name: engine.card.licence for engine in tuple(self._engines.values())}

    def start(self) -> None:
        self._loading = asyncio.create_task(asyncio.to_thread(self._load_engines))
        self.gallery.start()

    def begin_to_stop(self) -> None:
        """Work that has not begun is dropped and answered "overloaded", and so is what comes from now on."""
        if not self.stopping:
            self.stopping = True
            self._deadline = time.monotonic() + self.settings.grace
            self.workers.drop_waiting()
            for timeout in tuple(self.reading):
                timeout.reschedule(0)

    async def stop(self) -> None:
        """Finish what runs, within the grace that is left."""
        self.begin_to_stop()
        try:
            async with asyncio.timeout(max(1.0, self._deadline - time.monotonic())):
                if self._loading is not None:
                    await self._loading
                await asyncio.to_thread(self.workers.close)
                await self.gallery.close()
        except TimeoutError:
            log.error("work goes on after %g seconds of grace: it is given up", self.settings.grace)
            # Python waits for its threads, and a thread in native code for nobody.
            threading.Thread(target=_exit_soon, daemon=True).start()
        finally:
            if self.processes is not None:
                self.processes.close()

    def engine(self, name: str | None = None) -> Engine:
        """The engine of this name, or the default. Raises NotReady while it loads, InvalidRequest if there is none."""
        name = self.default_engine if name is None else name
        if name in self._engines:
            return self._engines[name]
        if name in self.failures:
            raise NotReady(f"The engine {name} could not be loaded: {self.failures[name]}")
        if name in self.settings.engines:
            raise NotReady()
        raise InvalidRequest(f"The loaded engines are: {', '.join(self.settings.engines)}.", field="engine")

    def parse_match(self, body: Body) -> MatchRequest:
        """The request of a body of /match. Raises as enrolled.parse."""
        return parser.parse(body, max_members=self.settings.max_members, rule=self.settings.rule)

    def parse_match_cached(self, body: bytearray) -> MatchRequest:
        """As ``parse_match``, without parsing a list that came before. Nobody may change ``body`` afterwards."""
        asked = self.lists.get(body, self.settings.rule)
        if asked is None:
            asked = self.parse_match(body)
            self.lists.put(body, asked)
        return asked

    async def run(self, job: Callable[..., T], *args: object) -> T:
        """Run blocking engine work in the pool; see WorkerPool.run."""
        return await self.workers.run(job, *args)

    def refuse_if_lists_wait(self) -> None:
        """Raise Overloaded where as many large lists wait to be decided as may."""
        now = self.matching.statistics()
        if now.borrowed_tokens + now.tasks_waiting >= now.total_tokens + self.settings.queue:
            raise Overloaded("As many large lists wait as may. Try again shortly.")

    async def encode_to_enrol(self, engine: Engine, data: bytes) -> Encoding:
        """Encode a photo whose descriptor is to be kept: the settings may refuse a head that is tilted."""
        return await self.run(encode, engine, data, self.limits, "one", 1, self.settings.max_roll)

    def _load_engines(self) -> None:
        for name, engine in self._loaded():
            if isinstance(engine, str):
                self.failures[name] = engine
                log.error("engine %s: %s", name, engine)
                continue
            self._engines[name] = engine
            watcher().loaded(name, engine.card)
            log.info("engine %s is ready: model %s, licence: %s", name, engine.card.name, engine.card.licence)
        settle()

    def _loaded(self) -> Iterator[tuple[str, Engine | str]]:
        # In every thread: each makes its own detector or its own process, and the first answer is as quick as the next.
        if self.processes is None:
            return load_all(self.settings, self.workers.warm)
        loaded = self.processes.start()
        self.workers.warm(self.processes.ensure_worker)
        return iter(loaded.items())


def _exit_soon() -> None:
    time.sleep(2)
    os._exit(1)
