"""A bounded queue in front of a few threads."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from face128.errors import BadImage, ConfigurationError, Overloaded
from face128.workers.thread_pool import ThreadPool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool("tried", threads=2, queue=1)
    yield pool
    pool.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (what other threads do sets no asyncio.Event)
            await asyncio.sleep(0.005)


def test_it_runs_a_job_off_the_event_loop_and_returns_its_result(pool: ThreadPool) -> None:
    async def scenario() -> None:
        assert await pool.run(threading.current_thread) is not threading.current_thread()
        assert await pool.run(divmod, 7, 2) == (3, 1)

    asyncio.run(scenario())


def test_an_error_of_the_job_reaches_its_caller_and_frees_the_place(pool: ThreadPool) -> None:
    def fail() -> None:
        raise BadImage()

    async def scenario() -> None:
        for _ in range(10):
            with pytest.raises(BadImage):
                await pool.run(fail)
        await until(lambda: pool.pending == 0)

    asyncio.run(scenario())


def test_the_job_after_the_last_place_is_refused_and_later_ones_are_not(pool: ThreadPool) -> None:
    async def scenario() -> None:
        gate = threading.Event()
        accepted = [asyncio.ensure_future(pool.run(gate.wait, 10)) for _ in range(3)]
        await until(lambda: pool.pending == 3)
        with pytest.raises(Overloaded) as refusal:
            await pool.run(gate.wait)
        assert refusal.value.retry_after >= 1
        gate.set()
        assert await asyncio.gather(*accepted) == [True] * 3
        await until(lambda: pool.pending == 0)
        assert await pool.run(int) == 0

    asyncio.run(scenario())


def test_a_caller_who_leaves_takes_the_job_along_if_it_has_not_begun(pool: ThreadPool) -> None:
    async def scenario() -> None:
        gate, begun = threading.Event(), threading.Event()
        running: list[Awaitable[bool]] = [asyncio.ensure_future(pool.run(gate.wait, 10)) for _ in range(2)]
        waiting = asyncio.ensure_future(pool.run(begun.set))
        await until(lambda: pool.pending == 3)
        waiting.cancel()
        await until(lambda: pool.pending == 2)
        gate.set()
        await asyncio.gather(*running)
        await pool.run(int)
        assert not begun.is_set()

    asyncio.run(scenario())


def test_warming_reaches_every_thread(pool: ThreadPool) -> None:
    threads = set()
    pool.warm(lambda: threads.add(threading.get_ident()))
    assert len(threads) == 2


def test_warming_that_does_not_end_is_given_up(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face128.workers.thread_pool.WARM_UP_TIMEOUT_S", 0.2)
    gate = threading.Event()
    with pytest.raises(ConfigurationError, match=r"within 0\.2 seconds"):
        pool.warm(gate.wait)
    gate.set()


def test_a_closed_pool_refuses(pool: ThreadPool) -> None:
    pool.close()
    with pytest.raises(Overloaded):
        asyncio.run(pool.run(int))
    assert pool.pending == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
@pytest.mark.parametrize("nice", [0, 10, 19])
def test_a_thread_has_a_lower_priority_than_the_service_however_it_was_started(nice: int) -> None:
    """A raised priority would be refused to all but root, and the service could not start."""
    code = (
        "import asyncio, os; from face128.workers.thread_pool import ThreadPool; pool = ThreadPool('tried', 1, 1); "
        "print(asyncio.run(pool.run(lambda: os.getpriority(os.PRIO_PROCESS, 0)))); pool.close()"
    )
    own = os.getpriority(os.PRIO_PROCESS, 0)
    done = subprocess.run(["nice", "-n", str(nice), sys.executable, "-c", code], capture_output=True, text=True)
    assert int(done.stdout) == min(19, min(19, own + nice) + 5), done.stderr
