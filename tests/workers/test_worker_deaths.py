"""What a worker's death means: a crash is the photo's, SIGKILL is the system's. What it wrote last is in the log."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from liveness import until

from face128.errors import BadImage, OutOfMemory
from face128.settings import Settings
from face128.workers.process_pool import ProcessPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")

STDERR_FD = 2
# Run in a worker.
DIE_AT_WORK = """
import signal
from face128.helper_thread import helper
with helper():
    signal.raise_signal(signal.SIGKILL)
"""
BUSY_THREADS = "sum(__import__('face128.helper_thread').helper_thread._busy._counts[:])"


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    pool = ProcessPool(Settings(engines=("fake",), photo_seconds=20))
    assert list(pool.load()) == ["fake"]
    yield pool
    pool.close()


def test_a_worker_that_is_killed_twice_means_that_memory_is_short(pool: ProcessPool) -> None:
    for _ in range(2):  # the photo is not refused unseen either
        with pytest.raises(OutOfMemory) as answer:
            pool.call(signal.raise_signal, signal.SIGKILL)
        assert (answer.value.status, answer.value.code, answer.value.retry_after) == (503, "overloaded", 1)
    assert pool.call(abs, -7) == 7


def test_a_worker_that_is_killed_in_the_middle_of_a_photo_keeps_no_core_busy(pool: ProcessPool) -> None:
    with pytest.raises(OutOfMemory):
        pool.call(exec, DIE_AT_WORK)
    assert pool.call(eval, BUSY_THREADS) == 0


def test_an_allocation_that_fails_means_that_memory_is_short(pool: ProcessPool) -> None:
    with pytest.raises(OutOfMemory):
        pool.call(bytearray, 2**62)


def test_a_crash_is_the_photos_and_its_last_words_are_in_one_record(
    pool: ProcessPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BadImage, match="crashed"):
        pool.call(os.abort)
    record = next(record for record in caplog.records if record.levelname == "ERROR")
    assert "a worker died in the middle of a job: Aborted" in record.getMessage()
    assert "Fatal Python error: Aborted" in record.getMessage()


def test_what_native_code_writes_becomes_a_debug_record(
    pool: ProcessPool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, "face128"):
        pool.call(os.write, STDERR_FD, b"TIFFReadDirectory: Warning.\x1b[31m\n" + b"x" * 10_000 + b"\nlast line\n")
        until(lambda: any("last line" in message for message in caplog.messages))
    first, long, _ = caplog.messages[-3:]
    assert first == "native code in a worker process: TIFFReadDirectory: Warning.?[31m"
    assert 400 < len(long) < 600
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert "TIFFReadDirectory" not in capfd.readouterr().err


def test_more_than_a_pipe_holds_does_not_stop_a_worker(pool: ProcessPool) -> None:
    for _ in range(20):
        assert pool.call(os.write, STDERR_FD, b"y" * 99 * 1000 + b"\n") > 0
    assert pool.call(abs, -7) == 7
