"""SIGTERM: what runs is finished, what waits is answered, and the exit status is 0."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import poisoned
import pytest
import sockets
from serving import started


@pytest.mark.parametrize("isolation", ["process", "thread"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_runs_is_finished_and_the_rest_is_told(tmp_path: Path, workers: int, isolation: str) -> None:
    log = tmp_path / "log"
    settings = poisoned.settings(POISON_LOG=str(log), FACE128_THREADS="1", FACE128_ISOLATION=isolation)
    photo = poisoned.photo(poisoned.TAKES_TWO_SECONDS)
    request = sockets.head("/encode-image", len(photo)) + photo
    with started(workers=workers, **settings) as (process, port):
        while not all(_ready(port) for _ in range(20)):  # whichever worker answers
            time.sleep(0.1)
        waiting = []
        while not log.exists() or log.read_text().count("19") < workers:  # each has begun one
            assert len(waiting) < 30
            waiting.append(sockets.send(port, request))
            time.sleep(0.1)
        waiting += [sockets.send(port, request) for _ in range(4)]
        half = sockets.send(port, request[:-10])
        sockets.settle(port)
        process.send_signal(signal.SIGTERM)
        replies = [sockets.answer(connection) for connection in waiting]
        finished = [reply for reply in replies if reply.status == 200]
        assert len(finished) == log.read_text().count("19") < len(replies)
        assert all(sockets.overloaded(reply) for reply in replies if reply not in finished)
        assert sockets.overloaded(sockets.answer(half))
        assert process.wait(20) == 0


def _ready(port: int) -> bool:
    with sockets.send(port, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        return sockets.answer(connection).status == 200


@pytest.mark.parametrize(("isolation", "status"), [("process", 0), ("thread", 1)])
def test_work_that_does_not_end_is_given_up_after_the_grace(isolation: str, status: int) -> None:
    settings = poisoned.settings(FACE128_ISOLATION=isolation, FACE128_GRACE="1", FACE128_THREADS="1")
    photo = poisoned.photo(poisoned.SLEEPS)
    with started(**settings) as (process, port):
        connection = sockets.send(port, sockets.head("/encode-image", len(photo)) + photo)
        sockets.settle(port)
        process.send_signal(signal.SIGTERM)
        assert sockets.overloaded(sockets.answer(connection))
        assert process.wait(20) == status
