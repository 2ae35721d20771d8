"""Runs batches on a Dask cluster. The scheduler gives the batches of a worker that dies to another one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty

from face128.errors import BadRequest, ConfigurationError
from face128.jobs.execution.backend import Backend, Batch, BatchTask, FinishedBatches, Item, Result
from face128.jobs.execution.interrupt import Interrupt

CONNECT_TIMEOUT_S = 30  # to find the scheduler and a worker
CLOSE_TIMEOUT_S = 10  # to tell the scheduler that the job is over
STALL_TIMEOUT_S = 900
"""The job ends when no batch was finished for so long. Eight photos with --num-jitters 100 and FACE128_NETWORK=dlib,
the slowest of all batches, take 70 s on one core (measured on 29 November 2026: 8.6 s a photo)."""
RUN_AGAIN = "The same command goes on where this one stopped"


@dataclass(frozen=True)
class DaskBackend(Backend):
    """The workers need face128 of this version. ``run`` raises ConfigurationError if the cluster is away or stalls."""

    address: str
    """Of the scheduler, such as tcp://scheduler:8786."""
    sends_photos: bool
    """False if the workers can read the photos under the paths, or URLs, of the list."""

    def __post_init__(self) -> None:
        # Dask's client would wait for a minute at the end of the process, for an address that is none.
        if not re.fullmatch(r"(tcp|tls|wss?|ucx)://\S+:[0-9]{1,5}/?", self.address):
            raise BadRequest("--cluster takes the address of a Dask scheduler: tcp://scheduler:8786")

    def run_batches(
        self, task: BatchTask[Item, Result], batches: Iterable[Batch[Item]], alone: bool, interrupt: Interrupt
    ) -> FinishedBatches[Item, Result]:
        try:
            from distributed import Client, KilledWorker
        except ImportError:
            raise ConfigurationError("A cluster needs: pip install 'face128[cluster]'.") from None
        try:
            client = Client(self.address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
            cores = sum(client.sync(client.scheduler.ncores, callback_timeout=CONNECT_TIMEOUT_S).values())
        except (OSError, ValueError):
            raise ConfigurationError("There is no Dask cluster with a worker at this address.") from None
        # Not through ``client.get_executor()``: where a worker dies while its result is being fetched, the executor's
        # future is never done (distributed 2026.8, cfexecutor._cascade_future).
        submit = partial(client.submit, task, pure=False)
        try:
            yield from self._run_windowed(submit, batches, alone, interrupt, cores, STALL_TIMEOUT_S, KilledWorker)
        except (Empty, TimeoutError):
            raise ConfigurationError(
                f"The Dask cluster finished no photo for {STALL_TIMEOUT_S / 60:g} minutes: look at its workers. "
                f"{RUN_AGAIN}; without --cluster it also gets past a photo that hangs its worker."
            ) from None
        except (CancelledError, OSError):
            raise ConfigurationError(f"The connection to the Dask cluster was lost. {RUN_AGAIN}.") from None
        finally:
            with suppress(OSError):  # a TimeoutError is one
                client.close(timeout=CLOSE_TIMEOUT_S)
