"""What runs a job's tasks: the processes of this machine (local_backend.py) or a Dask cluster (dask_backend.py)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from face128.jobs.execution.interrupt import GRACE_S, Interrupt

Item = TypeVar("Item")
Result = TypeVar("Result")
Batch = tuple[Item, ...]
BatchTask = Callable[[Batch[Item]], list[Result]]
"""Gives the result of each item of a batch, in order."""


class Loss(Enum):
    """Why an item has no result; the value is the code of such a photo."""

    CRASHED = "crashed"
    """Its worker died, or had to be ended because it took too long."""
    OUT_OF_MEMORY = "out_of_memory"
    """Its worker was killed by the kernel, or raised MemoryError, although it had the machine to itself."""


FinishedBatches = Iterator[tuple[Batch[Item], list[Result] | Loss]]
"""Each batch with its results, as it finishes, or why it was lost."""

MAX_BATCH_PHOTOS = 8  # one worker takes so many photos at a time: their chips go through the network together
QUEUED_BATCHES_PER_WORKER = 4  # a worker never waits for its next batch


class Backend(ABC):
    sends_photos: bool
    """Whether the bytes of the photos must be sent along, because the workers cannot read the files."""
    reads_here = False
    """Whether the workers read the files as this process does."""

    def run(
        self, task: BatchTask[Item, Result], items: Iterable[Item], count: int, interrupt: Interrupt | None = None
    ) -> Iterator[tuple[Item, Result | Loss]]:
        """Run ``task`` on all items, about ``count`` of them, and yield each with its result as it finishes.

        An exception of the task is raised here, but for a MemoryError. After an ``interrupt`` no batch is begun, and
        what finishes within GRACE_S is yielded.
        """
        interrupt = interrupt or Interrupt()
        # A worker that dies may take other batches with it: each runs again alone, and then each item of one that
        # kills its worker again.
        remaining: Iterable[Batch[Item]] = batches(items, count)
        alone = False
        while remaining:
            lost: list[Batch[Item]] = []
            for batch, results in self.run_batches(task, remaining, alone, interrupt):
                if not isinstance(results, Loss):
                    yield from zip(batch, results, strict=True)
                elif alone and len(batch) == 1:
                    yield batch[0], results
                else:
                    lost += [(item,) for item in batch] if alone else [batch]
            remaining, alone = [] if interrupt.requested else lost, True

    @abstractmethod
    def run_batches(
        self, task: BatchTask[Item, Result], batches: Iterable[Batch[Item]], alone: bool, interrupt: Interrupt
    ) -> FinishedBatches[Item, Result]:
        """Run the batches, until the ``interrupt``; one at a time if ``alone``."""

    def _run_windowed(
        self,
        submit: Callable[[Batch[Item]], Any],
        batches: Iterable[Batch[Item]],
        alone: bool,
        interrupt: Interrupt,
        workers: int,
        timeout_s: float,
        worker_died: type[Exception],
        reason_of_death: Callable[[Any], Loss] = lambda future: Loss.CRASHED,
    ) -> FinishedBatches[Item, Any]:
        """Raises Empty or TimeoutError if no batch finishes within ``timeout_s``.

        ``submit`` returns a future (concurrent.futures or Dask) that fails with ``worker_died`` if its worker died.
        """
        waiting = iter(batches)
        window = 1 if alone else QUEUED_BATCHES_PER_WORKER * workers
        # The only queue that a signal's handler may use: its put never waits.
        finished: SimpleQueue[Any] = SimpleQueue()
        interrupt.wake = lambda: finished.put(None)
        running: dict[Any, Batch[Item]] = {}
        deadline: float | None = None
        while True:
            wait_s = timeout_s
            if interrupt.requested:
                interrupt.announce()
                deadline = deadline or time.monotonic() + GRACE_S
                wait_s = max(0.0, deadline - time.monotonic())
            else:
                for batch in islice(waiting, window - len(running)):
                    future = submit(batch)
                    running[future] = batch
                    future.add_done_callback(finished.put)
            if not running:
                return
            try:
                future = finished.get(timeout=wait_s)
            except Empty:
                if deadline is None:
                    raise
                return
            if future is None:  # woken by the interrupt
                continue
            batch = running.pop(future)
            try:
                yield batch, future.result(timeout=timeout_s)
            except MemoryError:
                yield batch, Loss.OUT_OF_MEMORY
            except worker_died:
                yield batch, reason_of_death(future)


def batches(items: Iterable[Item], count: int) -> Iterator[Batch[Item]]:
    """The items in batches that get smaller towards the end, so that all workers finish at about the same time."""
    iterator = iter(items)
    while batch := tuple(islice(iterator, min(MAX_BATCH_PHOTOS, max(1, count // MAX_BATCH_PHOTOS)))):
        count -= len(batch)
        yield batch
