"""A thread pool with a bounded queue: a job beyond it is refused at once as Overloaded.

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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from face128.errors import STOPPING, ConfigurationError, Overloaded
from face128.events import listener
from face128.spans import tracer

QUEUE_TIMEOUT_S = 30.0
QUEUE_POLL_S = 0.02
WARM_UP_TIMEOUT_S = 300.0
MAX_NICE = 19
WORKER_NICE = 5  # above the service's own, up to 19: a third of the processor's share of a thread at 0 (sched(7))
FIRST_JOB_GUESS_S = 0.1

P = ParamSpec("P")
T = TypeVar("T")


def _lower_priority() -> None:
    """Give this thread less of a busy processor than the event loop: a small request is then answered at once."""
    if sys.platform == "linux":  # elsewhere a priority belongs to the process
        thread = threading.get_native_id()
        # A service that was started with a low priority may lower it further, and never raise it.
        os.setpriority(os.PRIO_PROCESS, thread, min(MAX_NICE, os.getpriority(os.PRIO_PROCESS, thread) + WORKER_NICE))


class ThreadPool:
    """``threads`` jobs run at once and ``queue`` more may wait; the next is refused."""

    def __init__(self, name: str, threads: int, queue: int, call: Callable[..., Any] | None = None) -> None:
        """``call(job, *args)``, if given, runs a job: for example in the thread's worker process."""
        self.name = name
        self.threads = threads
        self._call = call
        self._capacity = threads + queue
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="face128-worker", initializer=_lower_priority)
        self._lock = threading.RLock()
        self._futures: set[Future[Any]] = set()
        self._stopping = False
        self._mean_job_s = FIRST_JOB_GUESS_S  # moving average

    @property
    def pending(self) -> int:
        """Jobs that run or wait now."""
        return len(self._futures)

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking job in a thread of the pool and return its result.

        Raises Overloaded where the queue is full. If the caller is cancelled, so is its job, unless it runs already.
        """
        future = self._submit(job, *args, **kwargs)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping and task is not None and not task.cancelling():  # cancelled by cancel_queued
                raise Overloaded(STOPPING) from None
            raise

    async def run_when_free(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``run``, but wait for a place in the queue. Raises Overloaded after QUEUE_TIMEOUT_S without one."""
        deadline = time.monotonic() + QUEUE_TIMEOUT_S
        while True:
            try:
                return await self.run(job, *args, **kwargs)
            except Overloaded:
                if self._stopping or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(QUEUE_POLL_S)

    def warm(self, job: Callable[[], object]) -> None:
        """Run ``job`` once in every thread, and return when all have. Meant for the start.

        Raises what the job raises, and ConfigurationError after WARM_UP_TIMEOUT_S.
        """
        all_threads = threading.Barrier(self.threads)

        def run_in_this_thread() -> None:
            all_threads.wait()  # so that no thread takes two
            job()

        futures = [self._executor.submit(run_in_this_thread) for _ in range(self.threads)]
        _, unfinished = wait(futures, WARM_UP_TIMEOUT_S)
        if unfinished:
            all_threads.abort()
            raise ConfigurationError(f"The engine has not described a photo within {WARM_UP_TIMEOUT_S:g} seconds.")
        for future in futures:
            future.result()

    def refuse_if_full(self) -> None:
        """Raise Overloaded where a job would be refused now."""
        with self._lock:
            if self._stopping:
                raise Overloaded(STOPPING)
            if self.pending >= self._capacity:
                wait_s = self._mean_job_s * self.pending / self.threads
                raise Overloaded(retry_after=max(1, math.ceil(wait_s)))

    def cancel_queued(self) -> None:
        """Raise Overloaded for every job that has not begun, and for those to come."""
        with self._lock:
            self._stopping = True
            futures = tuple(self._futures)
        for future in futures:
            future.cancel()  # has no effect on those that run

    def close(self) -> None:
        """Cancel the jobs that wait, and wait for those that run: the caller sets the bound."""
        self.cancel_queued()
        self._executor.shutdown(wait=True)

    def _submit(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        submitted = time.perf_counter()

        def timed() -> T:
            start = time.perf_counter()
            try:
                with tracer().span(self.name, **{"face128.queue_seconds": start - submitted}):
                    return self._call(job, *args, **kwargs) if self._call else job(*args, **kwargs)
            finally:
                self._mean_job_s += 0.1 * (time.perf_counter() - start - self._mean_job_s)

        with self._lock:
            self.refuse_if_full()
            # In the caller's context: what the job logs has the request's id.
            future = self._executor.submit(copy_context().run, timed)
            self._futures.add(future)
            listener().queue_length(self.name, self.pending)
        future.add_done_callback(self._job_ended)
        return future

    def _job_ended(self, future: Future[Any]) -> None:
        with self._lock:
            self._futures.remove(future)
            listener().queue_length(self.name, self.pending)
