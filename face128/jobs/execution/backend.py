"""What runs a job's tasks: the processes of this machine (local_backend.py) or a Dask cluster (dask_backend.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Batch = tuple[Item, ...]
BatchTask = Callable[[Batch[Item]], list[Result]]
"""Gives the result of each item of a batch, in order."""

MAX_BATCH_PHOTOS = 8  # one worker takes so many photos at a time: their chips go through the network together
QUEUED_BATCHES_PER_WORKER = 4  # a worker never waits for its next batch


class Backend(ABC):
    sends_photos: bool
    """Whether the bytes of the photos must be sent along, because the workers cannot read the files."""

    def run(
        self, task: BatchTask[Item, Result], items: Iterable[Item], count: int
    ) -> Iterator[tuple[Item, Result | None]]:
        """Run ``task`` on all items, about ``count`` of them, and yield each with its result as it finishes.

        The result is None where the item killed its worker. An exception of the task is raised here.
        """
        lost: list[Item] = []
        for batch, results in self.run_batches(task, batches(items, count)):
            if results is not None:
                yield from zip(batch, results, strict=True)
            elif len(batch) == 1:
                yield batch[0], None
            else:
                lost += batch
        if lost:  # alone, each item shows whether it is the one that kills workers
            for (item,), results in self.run_batches(task, ((item,) for item in lost)):
                yield item, None if results is None else results[0]

    @abstractmethod
    def run_batches(
        self, task: BatchTask[Item, Result], batches: Iterable[Batch[Item]]
    ) -> Iterator[tuple[Batch[Item], list[Result] | None]]:
        """Yield each batch with its results as it finishes; None if its worker died, even when it ran alone."""


def batches(items: Iterable[Item], count: int) -> Iterator[Batch[Item]]:
    """The items in batches that get smaller towards the end, so that all workers finish at about the same time."""
    iterator = iter(items)
    while batch := tuple(islice(iterator, min(MAX_BATCH_PHOTOS, max(1, count // MAX_BATCH_PHOTOS)))):
        count -= len(batch)
        yield batch
