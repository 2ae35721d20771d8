"""Photos run side by side as far as memory allows; the others wait for their turn."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from liveness import until

from face128.errors import OutOfMemory, TooLarge
from face128.photos import memory
from face128.workers import memory_budget
from face128.workers.memory_budget import Claim, MemoryBudget

FREE = 100


@pytest.fixture
def budget() -> MemoryBudget:
    return MemoryBudget(lambda _: FREE)


def test_what_fits_is_reserved_and_the_next_waits_until_there_is_room(budget: MemoryBudget) -> None:
    with Claim(budget) as first, Claim(budget) as second, ThreadPoolExecutor(1) as pool:
        assert first.take(60).reserved
        waiting = pool.submit(second.take, 60)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        budget.release(first)
        assert waiting.result(10).reserved


def test_several_small_ones_run_at_once(budget: MemoryBudget) -> None:
    with Claim(budget) as first, Claim(budget) as second:
        assert first.take(50).reserved
        assert second.take(50).reserved


def test_one_that_may_need_more_than_there_is_runs_alone(budget: MemoryBudget) -> None:
    with Claim(budget) as small, Claim(budget) as huge, Claim(budget) as later, ThreadPoolExecutor(2) as pool:
        assert small.take(10).reserved
        alone = pool.submit(huge.take, 1000)
        until(lambda: len(budget._waiting) == 1)
        waiting = pool.submit(later.take, 10)  # it would fit, but came later
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        budget.release(small)
        assert not alone.result(10).reserved
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        budget.release(huge)
        assert waiting.result(10).reserved


def test_a_second_photo_of_a_job_does_not_wait_for_the_first(budget: MemoryBudget) -> None:
    with Claim(budget) as claim:
        assert claim.take(80).reserved
        assert claim.take(90).reserved


def test_a_wait_has_an_end(budget: MemoryBudget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "WAIT_S", 0.2)
    with Claim(budget) as first, Claim(budget) as second:
        first.take(60)
        with pytest.raises(OutOfMemory):
            second.take(60)
        assert not budget._waiting
    with Claim(budget) as third:
        assert third.take(100).reserved


def test_a_photo_whose_pixels_never_fit_is_too_large_and_another_only_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "BASE_BYTES", 20)
    free = [100]
    monkeypatch.setattr(memory, "this_process", lambda: type("Limit", (), {"free_bytes": lambda self, _: free[0]})())
    budget = MemoryBudget(lambda _: free[0])

    def decode(byte_count: int) -> None:
        memory.claim(10_000)
        memory.require(byte_count, pixel_count=byte_count // 10)

    budget.call(decode, 100)
    with pytest.raises(TooLarge) as refused:
        budget.call(decode, 200)
    assert refused.value.context == {"max_pixels": 8}
    free[0] = 50
    with pytest.raises(OutOfMemory):
        budget.call(decode, 80)
    assert not budget._granted


def test_many_threads_never_have_more_than_there_is() -> None:
    lock, most, now = threading.Lock(), 0, 0
    budget = MemoryBudget(lambda _: FREE)

    def job(byte_count: int) -> None:
        nonlocal most, now
        memory.claim(byte_count)
        with lock:
            now += byte_count
            most = max(most, now)
        with lock:
            now -= byte_count

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: budget.call(job, 20 + number % 60), range(300)))
    assert 0 < most <= FREE
    assert not budget._granted
