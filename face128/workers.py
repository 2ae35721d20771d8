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
from typing import ParamSpec, TypeVar

from face128.errors import Overloaded

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

    def __init__(self, threads: int, queue: int) -> None:
        self.threads = threads
        self._capacity = threads + queue
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="face128-worker", initializer=_step_back)
        self._lock = threading.Lock()
        self._pending = 0
        self._seconds_a_job = 0.1  # a first guess; every finished job corrects it

    @property
    def pending(self) -> int:
        """Jobs that run or wait now."""
        return self._pending

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking job in a thread of the pool and return its result.

        Raises Overloaded where the queue is full. A caller that is cancelled takes its job along, if it has not begun.
        """
        return await asyncio.wrap_future(self._submit(job, *args, **kwargs))

    async def run_patiently(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``run``, but wait for a place in the queue. Raises Overloaded only after PATIENCE seconds without one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.run(job, *args, **kwargs)
            except Overloaded:
                if time.monotonic() > deadline:
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

    def close(self) -> None:
        """Finish the jobs that run, and drop those that wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with self._lock:
            if self._pending >= self._capacity:
                wait = self._seconds_a_job * self._pending / self.threads
                raise Overloaded(retry_after=max(1, math.ceil(wait)))
            self._pending += 1

        def timed() -> T:
            start = time.perf_counter()
            try:
                return job(*args, **kwargs)
            finally:
                self._seconds_a_job += 0.1 * (time.perf_counter() - start - self._seconds_a_job)

        try:
            future = self._executor.submit(timed)
        except RuntimeError:  # the service is stopping
            self._leave()
            raise Overloaded("The service is stopping.") from None
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: object = None) -> None:
        with self._lock:
            self._pending -= 1
