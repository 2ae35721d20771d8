"""When the members are compared with each other anew, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from people import add_record, at_distance, enrol, synthetic

from face128.domain.model_card import DLIB, RETAIL
from face128.errors import NotReady
from face128.gallery.cohort import what_if
from face128.gallery.cohort.what_if import Kept
from face128.gallery.gallery import Gallery

WAIT_S = 60


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    for index, vector in enumerate(synthetic(30)):
        enrol(opened, str(index), vector, force=True)
    yield opened
    opened.close()


def finished(gallery: Gallery) -> Kept:
    """What is kept when no comparison runs any more."""
    if (running := gallery.what_if.ask(DLIB).running) is not None:
        running.result(WAIT_S)
    kept = gallery.what_if.ask(DLIB).kept
    assert kept is not None
    return kept


def set_kept(gallery: Gallery, **values: Any) -> None:
    (space,) = gallery.what_if._spaces.values()
    assert space.kept is not None
    space.kept = replace(space.kept, **values)


def test_a_quick_comparison_is_made_anew_after_any_change(small: Gallery) -> None:
    first = finished(small)
    assert (first.members.effects.members, first.faces) == (30, 30)
    assert finished(small) is first
    asked = small.what_if.ask(DLIB)
    assert (asked.current, asked.running) == (True, None)
    set_kept(small, took_s=0.0)
    enrol(small, "31", at_distance(synthetic(1)[0], 0.2), force=True)
    asked = small.what_if.ask(DLIB)
    assert not asked.current
    assert asked.kept is not None  # until the new one is there
    assert finished(small).members.effects.members == 31


def test_one_that_takes_long_is_kept_until_much_has_changed(small: Gallery) -> None:
    finished(small)
    set_kept(small, took_s=5.0)
    first = finished(small)
    for index in range(3):
        enrol(small, f"new {index}", at_distance(synthetic(3)[index], 0.5), force=True)
        assert finished(small) is first  # up to a tenth
    assert not small.what_if.ask(DLIB).current
    small.erase_user("new 0")
    enrol(small, "new 0", at_distance(synthetic(3)[0], 0.5), force=True)
    assert finished(small) is first
    enrol(small, "new 3", at_distance(synthetic(4)[3], 0.5), force=True)
    assert finished(small).faces == 34


def test_a_day_later_any_change_counts(small: Gallery) -> None:
    finished(small)
    set_kept(small, took_s=5.0, at=small.what_if.ask(DLIB).kept.at - timedelta(days=2))  # type: ignore[union-attr]
    first = finished(small)
    enrol(small, "new", at_distance(synthetic(1)[0], 0.5), force=True)
    assert finished(small) is not first


def test_one_comparison_runs_at_a_time_and_an_end_stops_it(small: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on, running = threading.Semaphore(0), threading.Event(), []

    def slow(*arguments: Any, **options: Any) -> Any:
        running.append(1)
        started.release()
        assert go_on.wait(WAIT_S)
        return compare(*arguments, **options)

    compare = what_if.compare_members
    monkeypatch.setattr(what_if, "compare_members", slow)
    site = small.of_collection("site")
    enrol(site, "1", synthetic(1)[0])
    futures: list[Future[Kept]] = []
    for gallery in (small, small, site):
        asked = gallery.what_if.ask(DLIB)
        assert asked.running is not None
        futures.append(asked.running)
    assert futures[0] is futures[1]
    assert started.acquire(timeout=WAIT_S)
    assert len(running) == 1  # the other collection waits for its turn
    go_on.set()
    assert futures[0].result(WAIT_S).members.effects.members == 30
    assert futures[2].result(WAIT_S).members.effects.members == 1
    go_on.clear()
    enrol(site, "2", synthetic(2)[1])
    asked = site.what_if.ask(DLIB)
    small._closed.set()
    go_on.set()
    assert asked.running is not None
    with pytest.raises(NotReady, match="ends"):
        asked.running.result(WAIT_S)


def test_a_failure_is_told_and_the_next_one_tries_again(small: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ValueError("as a fault would")

    with monkeypatch.context() as patch:
        patch.setattr(what_if, "compare_members", fails)
        asked = small.what_if.ask(DLIB)
        assert asked.running is not None
        with pytest.raises(NotReady, match="log"):
            asked.running.result(WAIT_S)
    assert finished(small).members.effects.members == 30


def test_the_models_in_use_and_a_model_that_nobody_has(small: Gallery) -> None:
    assert small.what_if.cards() == [DLIB]
    asked = small.what_if.ask(RETAIL)
    assert asked.running is not None
    assert asked.running.result(WAIT_S).members.effects.members == 0


def test_names_are_those_of_people_who_are_still_enrolled(small: Gallery) -> None:
    enrol(small, "like 3", at_distance(synthetic(30)[3], 0.1), force=True)
    add_record(small, "Rec", at_distance(synthetic(30)[4], 0.2), force=True)
    kept = finished(small)
    (first, second, *_), _ = small.what_if.named(kept.members)
    assert {first.person.user_id, first.other.user_id} == {"3", "like 3"}
    assert first.distance == pytest.approx(0.1, abs=1e-6)
    assert {second.person.name, second.other.name} == {"Rec", "Somebody"}
    small.erase_user("like 3")
    (first, *_), _ = small.what_if.named(kept.members)
    assert {first.person.name, first.other.name} == {"Rec", "Somebody"}
