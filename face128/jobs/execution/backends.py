"""Who does the work of a job: the processes of this machine, or a Dask cluster (cluster.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from face128.jobs.execution.local_backend import Done, Item, Result, run


class Workers(Protocol):
    @property
    def photos_travel(self) -> bool:
        """Whether the bytes of the photos must be sent along, as the workers do not see them."""
        ...

    def run(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Done[Item, Result]:
        """Run ``task`` on every item and yield each with its result as it finishes; see pool.Done."""
        ...


@dataclass(frozen=True)
class LocalWorkers:
    processes: int
    photos_travel: bool = False

    def run(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Done[Item, Result]:
        return run(task, items, self.processes)
