"""Background measurements: one at a time, the last one kept, asked for again by a time, ended with the service."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

import pytest

from face128.errors import DatabaseUnavailable
from face128.service.measurements import MAX_KEPT, Measurements, Pause

TIMEOUT_S = 30


@pytest.fixture
def measurements() -> Measurements:
    return Measurements()


def finished(running: Future[None] | None) -> None:
    assert running is not None
    running.result(TIMEOUT_S)


def test_it_is_measured_once_until_a_later_one_is_wanted(measurements: Measurements) -> None:
    counted: list[int] = []

    def job(_: Pause) -> int:
        counted.append(1)
        return len(counted)

    assert measurements.last("a") is None
    finished(measurements.begin("a", job=job))
    first = measurements.last("a")
    assert first is not None
    assert (first.result, first.error) == (1, None)
    assert measurements.begin("a", job=job) is None
    assert measurements.begin("a", job=job, after=first.at) is None
    finished(measurements.begin("a", job=job, after=first.at + timedelta(microseconds=1)))
    assert (measurements.last("a") or first).result == 2


def test_who_asks_meanwhile_waits_for_the_same_one_and_others_for_their_turn(measurements: Measurements) -> None:
    released, running = threading.Event(), []

    def job(_: Pause) -> bool:
        running.append(threading.current_thread())
        return released.wait(TIMEOUT_S)

    one = measurements.begin("a", job=job)
    assert measurements.begin("a", job=job, after=datetime.now(UTC)) is one
    other = measurements.begin("b", "site", job=job)
    assert other is not one
    assert len(running) <= 1
    released.set()
    finished(one)
    finished(other)
    assert len(running) == 2


def test_a_failure_is_kept_with_its_error_and_can_be_tried_again(measurements: Measurements) -> None:
    def away(_: Pause) -> None:
        raise DatabaseUnavailable()

    def broken(_: Pause) -> None:
        raise ZeroDivisionError("a secret")

    for name, job, code in (("away", away, "gallery_away"), ("broken", broken, "internal")):
        finished(measurements.begin(name, job=job))
        failed = measurements.last(name)
        assert failed is not None
        assert failed.error is not None
        assert (failed.result, failed.error.code) == (None, code)
        assert "secret" not in str(failed.error)
        assert measurements.begin(name, job=job) is None
        finished(measurements.begin(name, job=lambda _: 5, after=datetime.now(UTC)))
        assert measurements.last(name).result == 5  # type: ignore[union-attr]


def test_it_ends_with_the_service_and_nothing_begins_afterwards(measurements: Measurements) -> None:
    started = threading.Event()

    def job(pause: Pause) -> None:
        started.set()
        while not pause(60):
            pass
        raise InterruptedError

    running = measurements.begin("a", job=job)
    assert started.wait(TIMEOUT_S)
    measurements.stop()
    finished(running)
    assert measurements.begin("b", job=job) is None


def test_no_more_are_kept_than_some(measurements: Measurements) -> None:
    for index in range(MAX_KEPT + 1):
        finished(measurements.begin(str(index), job=lambda _: 1))
    assert measurements.last("0") is None
    assert measurements.last("1") is not None
