"""Runs one task on many items in the processes of this machine, and survives a process that dies.

Processes, not threads: a decoder that crashes on one photo of fifty thousand takes only its own process with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Done = Iterator[tuple[Item, Result | None]]
"""Each item with its result, as it finishes; None where the item killed the process that worked on it."""
Group = tuple[Item, ...]

WAITING = 4  # items handed over for each process: it never waits for the next one
GROUP = 8  # items that go to a process together: as many chips go through the network at once


def run(task: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Done[Item, Result]:
    """Run ``task`` on every item, at most ``processes`` at once. What it raises is raised here."""
    todo = iter(items)
    broken = True
    while broken:
        suspects: list[Item] = []
        with _pool(processes) as pool:
            for item, result in run_on(pool, task, todo, WAITING * processes):
                if result is None:
                    suspects.append(item)
                else:
                    yield item, result
        # A process that dies breaks the whole pool: which of the items in it was the cause shows when each runs alone.
        for item in suspects:
            with _pool(1) as pool:
                yield from run_on(pool, task, iter([item]), 1)
        broken = bool(suspects)


def run_in_groups(
    run: Callable[[Callable[[Group[Item]], list[Result]], Iterable[Group[Item]]], Done[Group[Item], list[Result]]],
    task: Callable[[Group[Item]], list[Result]],
    items: Iterable[Item],
    total: int,
) -> Done[Item, Result]:
    """Run a task that takes several items at once and tells each one's result, in order; as ``run`` would for each."""
    lost: list[Item] = []
    for group, results in run(task, groups(items, total)):
        if results is not None:
            yield from zip(group, results, strict=True)
        else:
            lost += group
    if lost:  # which of them it was shows when each is worked on by itself
        for (item,), results in run(task, [(item,) for item in lost]):
            yield item, None if results is None else results[0]


def groups(items: Iterable[Item], total: int) -> Iterator[Group[Item]]:
    """The items by GROUP, and towards the end fewer and fewer, so that all processes end at about the same time."""
    todo = iter(items)
    while group := tuple(islice(todo, min(GROUP, max(1, total // GROUP)))):
        total -= len(group)
        yield group


def run_on(
    executor: Executor,
    task: Callable[[Item], Result],
    items: Iterator[Item],
    window: int,
    killed: type[Exception] | tuple[type[Exception], ...] = BrokenExecutor,
) -> Done[Item, Result]:
    """Run ``task`` on the executor, ``window`` items at a time; ``killed`` is how it says that a process died.

    Once the executor is broken no further item is taken from ``items``.
    """
    running: dict[Future[Result], Item] = {}
    while True:
        for item in islice(items, window - len(running)):
            try:
                running[executor.submit(task, item)] = item
            except BrokenExecutor:
                yield item, None
                items = iter(())
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            item = running.pop(future)
            try:
                yield item, future.result()
            except killed:
                yield item, None


@contextmanager
def _pool(processes: int) -> Iterator[Executor]:
    # Spawned, not forked: this process has threads, and locks that they may hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one decides what it means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # After kill -9 of the first process the others would wait for work for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
