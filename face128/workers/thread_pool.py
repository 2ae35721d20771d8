"""The pool that runs blocking engine work, and says 'overloaded' in time.

Threads are enough: dlib's detector, Pillow's decoders and ONNX Runtime all release the GIL while they work.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from face128.errors import STOPPING, Overloaded
from face128.events import watcher

PATIENCE = 30.0
BEHIND = 5  # of 19; a third of the share of a thread at 0 (sched(7))

P = ParamSpec("P")
T = TypeVar("T")


def _step_back() -> None:
    """Give this thread less of a busy processor than the event loop: a small request then answers at once."""
    if sys.platform == "linux":  # elsewhere a priority belongs to the process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)


class WorkerPool:
    """``threads`` jobs run at once and ``queue`` more may wait; the next is refused."""

    def __init__(self, name: str, threads: int, queue: int, call: Callable[..., Any] | None = None) -> None:
        """``call(job, *args)``, if given, is how a thread does a job: for example in another process."""
        self.name = name
        self.threads = threads
        self._call = call
        self._capacity = threads + queue
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="face128-worker", initializer=_step_back)
        self._lock = threading.Lock()
        self._pending = 0
        self._futures: set[Future[Any]] = set()
        self._stopping = False
        self._seconds_a_job = 0.1  # a first guess; every finished job corrects it

    @property
    def pending(self) -> int:
        """Jobs that run or wait now."""
        return self._pending

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking job in a thread of the pool and return its result.

        Raises Overloaded where the queue is full. A caller that is cancelled takes its job along, if it has not begun.
        """
        future = self._submit(job, *args, **kwargs)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping and task is not None and not task.cancelling():  # dropped, not given up by its caller
                raise Overloaded(STOPPING) from None
            raise

    async def run_patiently(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``run``, but wait for a place in the queue. Raises Overloaded only after PATIENCE seconds without one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.run(job, *args, **kwargs)
            except Overloaded:
                if self._stopping or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)

    def warm(self, job: Callable[[], object]) -> None:
        """Run ``job`` once in every thread, and return when all have done so. Meant for the start."""
        all_there = threading.Barrier(self.threads)

        def hold_the_thread() -> None:
            all_there.wait()
            job()

        for future in [self._executor.submit(hold_the_thread) for _ in range(self.threads)]:
            future.result()

    def refuse_if_full(self) -> None:
        """Raise Overloaded where a job would be refused now."""
        with self._lock:
            self._refuse_if_full()

    def drop_waiting(self) -> None:
        """Answer "overloaded" to every job that has not begun, and to those to come."""
        self._stopping = True
        with self._lock:
            futures = tuple(self._futures)
        for future in futures:
            future.cancel()  # nothing happens to those that run

    def close(self) -> None:
        """Finish the jobs that run, and drop those that wait."""
        self.drop_waiting()
        self._executor.shutdown(wait=True)

    def _submit(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with self._lock:
            self._refuse_if_full()
            self._pending += 1
            watcher().queue(self.name, self._pending)

        def timed() -> T:
            start = time.perf_counter()
            try:
                return self._call(job, *args, **kwargs) if self._call else job(*args, **kwargs)
            finally:
                self._seconds_a_job += 0.1 * (time.perf_counter() - start - self._seconds_a_job)

        try:
            # With the request's id, for what the job has to log.
            future = self._executor.submit(copy_context().run, timed)
        except RuntimeError:  # closed in this very moment
            self._leave()
            raise Overloaded(STOPPING) from None
        with self._lock:
            self._futures.add(future)
        future.add_done_callback(self._leave)
        return future

    def _refuse_if_full(self) -> None:
        if self._stopping:
            raise Overloaded(STOPPING)
        if self._pending >= self._capacity:
            wait = self._seconds_a_job * self._pending / self.threads
            raise Overloaded(retry_after=max(1, math.ceil(wait)))

    def _leave(self, future: Future[Any] | None = None) -> None:
        with self._lock:
            self._pending -= 1
            watcher().queue(self.name, self._pending)
            if future is not None:
                self._futures.discard(future)
