"""One task on many items: in every process, and in spite of items that kill one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from face128.jobs.execution.backends import LocalWorkers
from face128.jobs.execution.local_backend import GROUP, groups, run, run_in_groups

DEADLY = {7, 30}


def double(number: int) -> tuple[int, int]:
    if number in DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number, os.getpid()


def double_all(numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    return [double(number) for number in numbers]


def fail(number: int) -> int:
    raise ValueError(number)


def test_an_item_that_kills_its_process_is_named_and_all_others_are_done() -> None:
    done = dict(run(double, range(40), processes=2))
    assert {number for number, result in done.items() if result is None} == DEADLY
    results = {number: result[0] for number, result in done.items() if result is not None}
    assert results == {number: 2 * number for number in range(40) if number not in DEADLY}


def test_of_a_group_only_the_item_that_kills_is_lost() -> None:
    done = dict(run_in_groups(LocalWorkers(2).run, double_all, range(100), 100))
    assert {number for number, result in done.items() if result is None} == DEADLY
    results = {number: result[0] for number, result in done.items() if result is not None}
    assert results == {number: 2 * number for number in range(100) if number not in DEADLY}


def test_groups_are_full_at_first_and_single_at_the_end() -> None:
    for total in (0, 1, 5, 40, 1000):
        some = list(groups(iter(range(total)), total))
        assert [item for group in some for item in group] == list(range(total))
        sizes = [len(group) for group in some]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1:] in ([], [1])
        assert max(sizes, default=1) == min(GROUP, max(1, total // GROUP))


def test_more_items_than_were_announced_are_done_too() -> None:
    assert [item for group in groups(range(50), 10) for item in group] == list(range(50))


def test_the_work_is_done_in_other_processes() -> None:
    pids = {result[1] for _, result in run(double, range(40, 60), processes=2) if result is not None}
    assert pids
    assert os.getpid() not in pids


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="1"):
        list(run(fail, [1], processes=1))


def test_no_process_stays_behind_when_the_first_is_killed() -> None:
    here = Path(__file__).parent
    script = (
        "import sys; from face128.jobs.execution.local_backend import run; from test_local_backend import double\n"
        "for number, (_, pid) in run(double, range(1000, 10**9), processes=1):\n"
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
