"""A Dask cluster as the workers of a job. What a worker had in hand when it died, the scheduler gives to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass

from face128.errors import ConfigurationError
from face128.jobs.execution.local_backend import WAITING, Done, Item, Result, run_on

PATIENCE = 30  # seconds to find the scheduler


@dataclass(frozen=True)
class ClusterWorkers:
    """The workers need face128 of this version. Raises ConfigurationError where the cluster is away."""

    address: str
    """Of the scheduler, such as tcp://scheduler:8786."""
    photos_travel: bool
    """False where the workers see the photos under the very paths, or URLs, of the list."""

    def run(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Done[Item, Result]:
        try:
            from distributed import Client, KilledWorker
        except ImportError:
            raise ConfigurationError("A cluster needs: pip install 'face128[cluster]'.") from None
        try:
            with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=PATIENCE)
                window = WAITING * sum(client.ncores().values())
                with client.get_executor(pure=False) as executor:
                    lost: list[Item] = []
                    # Where a worker dies while its result is on the way, Dask's executor takes the result for an error
                    # and raises TypeError (distributed.cfexecutor): such a photo gets a second chance, as any other.
                    for item, result in run_on(executor, task, iter(items), window, (KilledWorker, TypeError)):
                        if result is None:
                            lost.append(item)
                        else:
                            yield item, result
                    yield from run_on(executor, task, iter(lost), window, KilledWorker)
        except (TimeoutError, OSError, ValueError):
            raise ConfigurationError("There is no Dask cluster with a worker at this address.") from None
        except CancelledError:
            raise ConfigurationError("The Dask cluster went away. Run again to go on.") from None
