"""Runs batches in the processes of this machine, and survives a process that dies or hangs.

Processes, not threads: a decoder that crashes on one photo of fifty thousand takes only its own process with it.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from queue import Empty
from weakref import WeakKeyDictionary

from face128.errors import ConfigurationError
from face128.jobs.execution.backend import (
    MAX_BATCH_PHOTOS,
    Backend,
    Batch,
    BatchTask,
    FinishedBatches,
    Item,
    Loss,
    Result,
)
from face128.jobs.execution.interrupt import Interrupt
from face128.memory_limit import this_process
from face128.server.parent_watch import end_with_parent

ENGINE_LOAD_TIMEOUT_S = 60  # for a process to load its engine with its first batch: 1 s on an idle machine

JOIN_TIMEOUT_S = 5
EXIT_CODE_POLL_S = 0.001
PROCESS_BYTES = 200 * 2**20  # for a process with dlib's engine, 110 MB, and a photo of some megapixels


@dataclass(frozen=True)
class LocalBackend(Backend):
    processes: int
    photo_timeout_s: float
    """A process that works longer on a photo is ended; on a batch, longer than so much for each of its photos."""
    sends_photos = False
    reads_here = True

    def run_batches(
        self, task: BatchTask[Item, Result], batches: Iterable[Batch[Item]], alone: bool, interrupt: Interrupt
    ) -> FinishedBatches[Item, Result]:
        processes = 1 if alone else self._fitting_processes()
        pool = _start_pool(processes)
        pools: WeakKeyDictionary[Future[list[Result]], ProcessPoolExecutor] = WeakKeyDictionary()
        reason = cache(_reason_of_death)

        def submit(batch: Batch[Item]) -> Future[list[Result]]:
            nonlocal pool
            run = partial(_run_limited, task, self._limit_s(len(batch)), batch)
            with _ctrl_c_waits():
                try:
                    future = pool.submit(run)
                except BrokenExecutor:  # a process died: it took all batches of the pool with it
                    reason(pool)
                    _kill(pool)
                    pool = _start_pool(processes)
                    future = pool.submit(run)
            pools[future] = pool
            return future

        timeout_s = 2 * self._limit_s(MAX_BATCH_PHOTOS)  # no process runs so long, unless it was stopped
        try:
            yield from self._run_windowed(
                submit,
                batches,
                alone,
                interrupt,
                processes,
                timeout_s,
                BrokenExecutor,
                lambda future: reason(pools[future]),
            )
        except Empty:
            raise ConfigurationError(f"No photo was finished for {timeout_s:.0f} s. Run the command again.") from None
        finally:
            _kill(pool)

    def _fitting_processes(self) -> int:
        """No more than there is memory for."""
        free = this_process().free_bytes()
        return self.processes if free is None else max(1, min(self.processes, free // PROCESS_BYTES))

    def _limit_s(self, photo_count: int) -> float:
        return ENGINE_LOAD_TIMEOUT_S + self.photo_timeout_s * photo_count


def _run_limited(task: BatchTask[Item, Result], limit_s: float, batch: Batch[Item]) -> list[Result]:
    """Run the task; end this process if it takes too long, also in native code that holds the interpreter's lock."""
    with open(os.devnull, "w") as traceback:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=traceback)
        try:
            return task(batch)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _start_pool(processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: this process has threads, and locks that they may hold.
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_prepare_process)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Block SIGINT: a process that starts meanwhile never gets it, although Ctrl-C is sent to all that have this
    terminal. This process gets it at the end of the block, and decides what it means.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reason_of_death(pool: ProcessPoolExecutor) -> Loss:
    """Why a pool has lost a process, as long as it was not killed."""
    return Loss.OUT_OF_MEMORY if -signal.SIGKILL in _exit_codes(pool) else Loss.CRASHED


def _exit_codes(pool: ProcessPoolExecutor) -> list[int | None]:
    """Of the processes of a pool that has lost one; the executor ends the others by SIGTERM."""
    processes = list((pool._processes or {}).values())
    deadline = time.monotonic() + JOIN_TIMEOUT_S
    for process in processes:
        process.join(JOIN_TIMEOUT_S)
        # The executor's thread waits for the process too. If it was first, it may not have set the exit code yet.
        while process.exitcode is None and time.monotonic() < deadline:
            time.sleep(EXIT_CODE_POLL_S)
    return [process.exitcode for process in processes]


def _kill(pool: ProcessPoolExecutor) -> None:
    # Python 3.14 has pool.kill_workers(). Without it, shutdown would wait for a batch that hangs.
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(cancel_futures=True)


def _prepare_process() -> None:
    end_with_parent()
