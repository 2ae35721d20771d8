"""Both functions are called, at the same time where there is a second core, and nothing stays behind."""

from __future__ import annotations

import threading

import pytest

from face128.engines.dlib import side_by_side as module
from face128.engines.dlib.side_by_side import side_by_side

MEETING_S = 30


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "usable_cores", lambda: request.param)
    return int(request.param)


def test_with_two_cores_both_run_at_the_same_time(cores: int) -> None:
    if cores == 1:
        assert side_by_side(threading.get_ident, threading.get_ident) == (threading.get_ident(),) * 2
        return
    both = threading.Barrier(2)
    first, second = side_by_side(lambda: both.wait(MEETING_S), lambda: both.wait(MEETING_S))
    assert {first, second} == {0, 1}


def test_no_thread_stays(cores: int) -> None:
    before = threading.active_count()
    assert side_by_side(lambda: "first", lambda: "second") == ("first", "second")
    assert threading.active_count() == before


@pytest.mark.parametrize("fails", [0, 1])
def test_an_error_of_either_is_raised(cores: int, fails: int) -> None:
    before, calls = threading.active_count(), [lambda: 1, lambda: 1]
    calls[fails] = lambda: {}["missing"]
    with pytest.raises(KeyError, match="missing"):
        side_by_side(*calls)
    assert threading.active_count() == before
