"""Batches in the processes of this machine: items that kill or hang a process lose their own result only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from face128.errors import ConfigurationError
from face128.jobs.execution.backend import MAX_BATCH_PHOTOS, Batch, Loss, batches
from face128.jobs.execution.local_backend import LocalBackend

DEADLY = {7, 30}
HANGING = 5
HOUR_S = 3600


def double_all(numbers: Batch[int]) -> list[tuple[int, int]]:
    if DEADLY.intersection(numbers):
        os.kill(os.getpid(), signal.SIGKILL)
    return [(2 * number, os.getpid()) for number in numbers]


def hang_on_one(numbers: Batch[int]) -> list[int]:
    if HANGING in numbers:
        time.sleep(HOUR_S)
    return [2 * number for number in numbers]


def stop_process(numbers: Batch[int]) -> list[int]:
    os.kill(os.getpid(), signal.SIGSTOP)
    return list(numbers)


def crash_on_one(numbers: Batch[int]) -> list[int]:
    if HANGING in numbers:
        os.kill(os.getpid(), signal.SIGSEGV)
    return [2 * number for number in numbers]


def lack_memory_for_one(numbers: Batch[int]) -> list[int]:
    if HANGING in numbers:
        raise MemoryError
    return [2 * number for number in numbers]


def fail(numbers: Batch[int]) -> list[int]:
    raise ValueError(numbers)


def test_an_item_that_kills_its_process_is_named_and_all_others_are_done() -> None:
    done = dict(LocalBackend(2, HOUR_S).run(double_all, range(40), 1))
    assert {number for number, result in done.items() if result is Loss.OUT_OF_MEMORY} == DEADLY
    doubled = {number: result[0] for number, result in done.items() if not isinstance(result, Loss)}
    assert doubled == {number: 2 * number for number in range(40) if number not in DEADLY}


@pytest.mark.parametrize(("task", "loss"), [(crash_on_one, Loss.CRASHED), (lack_memory_for_one, Loss.OUT_OF_MEMORY)])
def test_a_crash_is_told_from_a_want_of_memory(task: Callable[[Batch[int]], list[int]], loss: Loss) -> None:
    done = dict(LocalBackend(2, HOUR_S).run(task, range(20), 20))
    assert done == {number: loss if number == HANGING else 2 * number for number in range(20)}


def test_of_a_batch_only_the_item_that_kills_is_lost() -> None:
    done = dict(LocalBackend(2, HOUR_S).run(double_all, range(100), 100))
    assert {number for number, result in done.items() if result is Loss.OUT_OF_MEMORY} == DEADLY
    doubled = {number: result[0] for number, result in done.items() if not isinstance(result, Loss)}
    assert doubled == {number: 2 * number for number in range(100) if number not in DEADLY}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> LocalBackend:
    """The limits count from the start of a task, so the start of a process may take longer on a busy machine."""
    monkeypatch.setattr("face128.jobs.execution.local_backend.ENGINE_LOAD_TIMEOUT_S", 2)
    return LocalBackend(2, photo_timeout_s=0.1)


def test_an_item_that_hangs_its_process_is_named_and_all_others_are_done(impatient: LocalBackend) -> None:
    done = dict(impatient.run(hang_on_one, range(40), 40))
    assert done == {number: Loss.CRASHED if number == HANGING else 2 * number for number in range(40)}


def test_processes_that_are_stopped_end_the_job_with_one_sentence(impatient: LocalBackend) -> None:
    with pytest.raises(ConfigurationError, match="No photo was finished"):
        list(impatient.run(stop_process, range(4), 4))


def test_batches_are_full_at_first_and_single_at_the_end() -> None:
    for total in (0, 1, 5, 40, 1000):
        some = list(batches(iter(range(total)), total))
        assert [item for batch in some for item in batch] == list(range(total))
        sizes = [len(batch) for batch in some]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1:] in ([], [1])
        assert max(sizes, default=1) == min(MAX_BATCH_PHOTOS, max(1, total // MAX_BATCH_PHOTOS))


def test_more_items_than_were_announced_are_done_too() -> None:
    assert [item for batch in batches(range(50), 10) for item in batch] == list(range(50))


def test_the_work_is_done_in_other_processes() -> None:
    pids = {
        result[1]
        for _, result in LocalBackend(2, HOUR_S).run(double_all, range(40, 60), 20)
        if not isinstance(result, Loss)
    }
    assert pids
    assert os.getpid() not in pids


def test_an_exception_of_the_task_is_raised() -> None:
    with pytest.raises(ValueError, match="1"):
        list(LocalBackend(1, HOUR_S).run(fail, [1], 1))


def test_no_process_stays_behind_when_the_first_is_killed() -> None:
    here = Path(__file__).parent
    script = (
        "from face128.jobs.execution.local_backend import LocalBackend; from test_local_backend import double_all\n"
        "for number, (_, pid) in LocalBackend(1, 3600).run(double_all, range(1000, 10**9), 10**9):\n"
        "    print(pid, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        first.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}/stat").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}/stat").exists()
