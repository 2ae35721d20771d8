"""Every wait for another process has an end: processes that are stopped (SIGSTOP) neither answer nor hang up."""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from liveness import lives, until

from face128.errors import BadImage, NotReady
from face128.settings import Settings
from face128.workers import fork_server_client, launcher
from face128.workers.messages import receive, send
from face128.workers.process_pool import ProcessPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")

LARGE = bytes(8 * 2**20)  # more than a socket takes before it is read


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessPool]:
    """A pool whose fork server has begun to load the engines, and has ended after the test."""
    monkeypatch.setattr(fork_server_client, "ANSWER_TIMEOUT_S", 2.0)
    pool = ProcessPool(Settings(engines=("fake",), photo_seconds=2))
    pool.start_loading()
    yield pool
    last = fork_server(pool)
    pool.close()
    assert not lives(last)


@pytest.fixture
def pool(loading: ProcessPool) -> ProcessPool:
    assert list(loading.load()) == ["fake"]
    return loading


def fork_server(pool: ProcessPool) -> int:
    server = pool._fork_server._server
    return server.process.pid if server else 0


def stop(process_id: int) -> None:
    os.kill(process_id, signal.SIGSTOP)


@pytest.mark.parametrize("worker_too", [False, True])
def test_a_fork_server_that_does_not_answer_is_killed_and_started_again(
    pool: ProcessPool, worker_too: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stopped, worker = fork_server(pool), pool.call(os.getpid)
    stop(stopped)
    if worker_too:  # its job is answered as a photo that takes too long
        stop(worker)
        with pytest.raises(BadImage):
            pool.call(os.getpid)
    else:
        os.kill(worker, signal.SIGKILL)
    assert pool.call(abs, -7) == 7
    until(lambda: not lives(stopped) and not lives(worker))
    assert "the fork server does not answer in 2 seconds" in caplog.messages


def test_the_threads_that_wait_for_a_fork_server_that_is_stopped_all_get_a_worker(pool: ProcessPool) -> None:
    stop(fork_server(pool))
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda number: pool.call(abs, number), range(-4, 0))) == [4, 3, 2, 1]


@pytest.mark.parametrize("job", [(abs, -7), (len, LARGE)], ids=["small", "large"])
def test_a_worker_that_is_stopped_is_replaced(pool: ProcessPool, job: tuple[Callable[..., object], ...]) -> None:
    worker = pool.call(os.getpid)
    stop(worker)
    with pytest.raises(BadImage, match="longer than 2 seconds"):
        pool.call(*job)
    assert not lives(worker)
    assert pool.call(os.getpid) != worker


def test_an_answer_that_stops_in_the_middle_is_waited_for_no_longer_than_the_rest() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall((100).to_bytes(8, "little") + b"half of it")
        with pytest.raises(TimeoutError):
            receive(ours, time.monotonic() + 0.2)
        with pytest.raises(TimeoutError):
            send(ours, LARGE, time.monotonic() + 0.2)


def test_engines_that_do_not_load_are_given_up(
    loading: ProcessPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fork_server_client, "LOAD_TIMEOUT_S", 2.0)
    stopped = fork_server(loading)
    stop(stopped)
    assert loading.load() == {"fake": "The process that loads the engines took too long."}
    assert not lives(stopped)
    assert "the fork server does not answer in 2 seconds" in caplog.messages
    assert loading.call(abs, -7) == 7


def test_where_no_fork_server_can_be_started_the_caller_is_told(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    os.kill(fork_server(pool), signal.SIGKILL)
    with pytest.raises(NotReady):
        pool.call(abs, -7)


def test_a_pool_can_be_closed_while_a_thread_waits_for_a_fork_server_that_is_stopped(
    loading: ProcessPool,
) -> None:
    stop(fork_server(loading))
    assert loading._fork_server._server
    control = loading._fork_server._server.control
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(loading.load)
        until(lambda: control.gettimeout() is not None)  # which is set before the wait
        loading.close()
        assert waiting.result() == {"fake": "The process that loads the engines died."}


def test_a_process_that_does_not_end_when_it_is_killed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "KILL_TIMEOUT_S", 0.2)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: None)
    ours, theirs = socket.socketpair()
    with theirs, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert launcher.ForkServerProcess(process, ours, io.BytesIO()).end() is False


def test_the_fork_server_is_sent_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "FACE128_API_KEYS", "FACE128_POST_KEY", "FACE128_MILVUS_URI"):
        monkeypatch.setenv(name, "the-secret-" + "x" * 32)
    monkeypatch.setenv("FACE128_DATABASE_URL", "mysql+pymysql://root:the-secret@db/faces")
    settings = Settings()
    assert settings.post_key is not None
    assert b"the-secret" not in pickle.dumps(settings.without_secrets())
