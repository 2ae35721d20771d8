"""A second thread for the photo in work, where a core is idle.

A photo keeps one thread busy. Where fewer photos are in work than there are cores, a second thread takes some of its
tasks. Processes that work side by side, as a service's workers do, count their threads in shared memory (``share``).
Where every core has a photo, each task runs on the photo's own thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from mmap import mmap
from typing import TypeVar

from face128 import events
from face128.settings import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Task = Future[tuple[Result, events.RecordedEvents]]


class BusyThreads:
    """How many threads work on photos, in this process and in those that share the counts."""

    def __init__(self, counts: list[int] | mmap, place: int) -> None:
        """``counts`` has a number for each process, and is written by this one at ``place`` alone."""
        self._counts = counts
        self._place = place
        self._lock = threading.Lock()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def leave_a_core(self) -> bool:
        return sum(self._counts[:]) < usable_cores()

    def _add(self, change: int) -> None:
        with self._lock:
            self._counts[self._place] += change


class Helper:
    """The second thread of one photo. Its methods are for the photo's own thread."""

    def __init__(self, allowed: bool = True) -> None:
        self._allowed = allowed
        self._thread: ThreadPoolExecutor | None = None
        self._last: Future[object] | None = None

    def start(self, task: Callable[[], Result]) -> Task[Result] | None:
        """Give the second thread a task, after those that it has; None where no core is idle. See ``result_of``."""
        has_tasks = self._last is not None and not self._last.done()
        if not has_tasks and not (self._allowed and _busy.leave_a_core()):
            return None
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="face128-helper")
        future = self._thread.submit(copy_context().run, _run, task)
        self._last = future  # type: ignore[assignment]
        return future

    def each(self, job: Callable[[Item, bool], Result], items: Sequence[Item]) -> list[Result]:
        """The results of ``job(item, in_helper)``, in the order of the items.

        This thread begins with the first item, the second thread with the last one.
        """
        tasks = [self.start(lambda item=item: job(item, True)) for item in reversed(items[1:])]  # type: ignore[misc]
        results = []
        for item, task in zip(items, [None, *reversed(tasks)], strict=bool(items)):
            results.append(job(item, False) if task is None or task.cancel() else result_of(task))
        return results

    def close(self) -> None:
        """Wait for the task that runs; drop those that have not begun. The thread ends: a program may fork now."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


def result_of(task: Task[Result]) -> Result:
    """Wait for a task. Its stages count for this thread's photo now. Raises what the task raised."""
    result, recorded = task.result()
    events.replay(recorded)
    return result


@contextmanager
def helper() -> Iterator[Helper]:
    """The helper of the photo in work. Blocks may be nested: the outermost one is the photo's time."""
    if (current := _helper.get()) is not None:
        yield current
        return
    new = Helper()
    reset = _helper.set(new)
    try:
        with _busy.one_more():
            yield new
    finally:
        _helper.reset(reset)
        new.close()


@contextmanager
def no_helper() -> Iterator[None]:
    """For a block in which other processes keep the other cores busy."""
    reset = _helper.set(Helper(allowed=False))
    try:
        yield
    finally:
        _helper.reset(reset)


def share(counts: mmap, place: int) -> None:
    """Count this process's threads in memory that it shares with those that work beside it: a byte for each."""
    global _busy
    _busy = BusyThreads(counts, place)


def _run(task: Callable[[], Result]) -> tuple[Result, events.RecordedEvents]:
    with no_helper(), _busy.one_more(), events.recording() as recorded, events.one_photo():
        result = task()
    return result, recorded


def _count_alone() -> None:
    global _busy
    _busy = BusyThreads([0], 0)  # a program may have more threads than a byte can count


_helper: ContextVar[Helper | None] = ContextVar("helper", default=None)
_busy: BusyThreads
_count_alone()
if hasattr(os, "register_at_fork"):  # a photo that another thread works on is not in work in the new process
    os.register_at_fork(after_in_child=_count_alone)
