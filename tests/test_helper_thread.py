"""A photo's second thread: it works where a core is idle, and every task is done once, in any case."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from mmap import mmap

import pytest

from face128 import events, helper_thread
from face128.helper_thread import BusyThreads, Helper, helper, no_helper, result_of

MEETING_S = 30


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(helper_thread, "usable_cores", lambda: 2)
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("face128-helper")]
    assert helper_thread._busy._counts[0] == 0


def thread_of(item: int, in_helper: bool) -> tuple[int, bool, int]:
    return item, in_helper, threading.get_ident()


def test_two_items_run_at_the_same_time_and_the_results_are_in_order() -> None:
    both = threading.Barrier(2)
    with helper() as second:
        found = second.each(lambda item, in_helper: (item, in_helper, both.wait(MEETING_S))[:2], ["first", "last"])
    assert found == [("first", False), ("last", True)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_every_item_is_done_once(count: int) -> None:
    calls = []

    def job(item: int, in_helper: bool) -> int:
        calls.append(item)
        time.sleep(0.001)
        return -item

    with helper() as second:
        assert second.each(job, range(count)) == [-item for item in range(count)]
    assert sorted(calls) == list(range(count))


def test_this_thread_takes_what_the_second_one_has_not_begun() -> None:
    go_on = threading.Event()
    with helper() as second:
        busy = second.start(lambda: go_on.wait(MEETING_S))
        found = second.each(thread_of, [1, 2, 3])
        go_on.set()
        assert busy is not None
        assert result_of(busy)
    assert found == [(item, False, threading.get_ident()) for item in (1, 2, 3)]


def test_where_every_core_has_a_photo_there_is_no_second_thread() -> None:
    def other_photo() -> None:
        with helper():
            at_work.wait(MEETING_S)
            ended.wait(MEETING_S)

    at_work, ended = threading.Barrier(2), threading.Event()
    other = threading.Thread(target=other_photo)
    other.start()
    at_work.wait(MEETING_S)
    with helper() as second:
        assert second.start(threading.get_ident) is None
        assert second.each(thread_of, [1, 2]) == [(item, False, threading.get_ident()) for item in (1, 2)]
        ended.set()
        other.join(MEETING_S)
        assert second.start(threading.get_ident) is not None


def test_a_helper_keeps_a_core_busy() -> None:
    helps, ended = threading.Barrier(2), threading.Event()
    with helper() as second:
        task = second.start(lambda: (helps.wait(MEETING_S), ended.wait(MEETING_S)))
        helps.wait(MEETING_S)
        assert not helper_thread._busy.leave_a_core()
        ended.set()
        assert task is not None
        result_of(task)


def test_with_one_core_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_thread, "usable_cores", lambda: 1)
    with helper() as second:
        assert second.start(threading.get_ident) is None


def test_a_block_within_a_photo_has_the_same_helper_and_is_not_counted_again() -> None:
    with helper() as outer, helper() as inner:
        assert outer is inner
        assert helper_thread._busy._counts[0] == 1
        task = outer.start(lambda: _helper_is_allowed())
        assert task is not None
        assert not result_of(task)  # a helper has none of its own


def _helper_is_allowed() -> bool:
    with helper() as own:
        return own.start(threading.get_ident) is not None


def test_no_helper() -> None:
    with no_helper():
        assert not _helper_is_allowed()
    assert _helper_is_allowed()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_item_is_raised(failing: int) -> None:
    def job(item: int, in_helper: bool) -> None:
        if item == failing:
            raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"), helper() as second:
        second.each(job, range(3))


def test_stages_in_the_second_thread_count_for_the_photo_once_their_result_is_taken() -> None:
    def describe() -> None:
        with events.stage("describe"):
            time.sleep(0.002)

    with events.recording() as recorded, events.one_photo(), helper() as second:
        describe()
        taken, left = second.start(describe), second.start(describe)
        assert taken is not None
        assert left is not None
        result_of(taken)
        left.result()
        assert recorded == []
    ((name, seconds),) = recorded
    assert name == "describe"
    assert seconds >= 0.004
    assert sum(name == "describe" for name, _ in recorded) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")
def test_processes_that_share_counts_know_of_each_other() -> None:
    counts = mmap(-1, 2)
    mine, theirs = BusyThreads(counts, 0), BusyThreads(counts, 1)
    with mine.one_more():
        assert mine.leave_a_core()
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            with theirs.one_more():
                os.write(write, b"1")
                time.sleep(MEETING_S)
            os._exit(0)
        assert os.read(read, 1) == b"1"
        assert not mine.leave_a_core()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_forked_process_counts_from_zero() -> None:
    with helper():
        if (child := os.fork()) == 0:
            os._exit(sum(helper_thread._busy._counts))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_helper_that_was_never_needed_is_closed() -> None:
    Helper().close()


def test_a_program_may_work_on_hundreds_of_photos_at_once() -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(helper_thread._busy.one_more())
        assert not helper_thread._busy.leave_a_core()
    assert helper_thread._busy.leave_a_core()
