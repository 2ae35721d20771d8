"""Decisions that are kept: until when, for whom, and what happens where they cannot be."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from people import Descriptor, enrol

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.errors import Duplicate, Face128Error, GalleryDeleted, NotFound, Overloaded
from face128.gallery.gallery import Gallery
from face128.gallery.people.retention import Retention
from face128.gallery.storage.tables import trail
from face128.gallery.trail import decisions, recorder
from face128.gallery.trail.before_answer import to_await, when_recorded
from face128.gallery.trail.check import check
from face128.gallery.trail.decisions import KeptDecision
from face128.gallery.trail.entry import EVERYBODY
from face128.gallery.trail.reading import page

ONE, TWO = (np.full(128, value, np.float32) for value in (0.1, 0.9))
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
YES = KeptDecision("search", "1", 0.2, None, "yes", "threshold", DLIB.name)


DAYS = Retention(decision_days=30)


@pytest.fixture
def alone(database_url: str) -> Iterator[Gallery]:
    """A gallery that keeps decisions for 30 days, on a database of its own."""
    with closing(Gallery(database_url, retention=DAYS, trail=True)) as gallery:
        yield gallery


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql"])
def shared(request: pytest.FixtureRequest, new_gallery: Callable[[str], str]) -> Iterator[Gallery]:
    with closing(Gallery(new_gallery(request.param), retention=DAYS, trail=True)) as gallery:
        yield gallery


@pytest.fixture
def kept(shared: Gallery) -> Gallery:
    """A collection of its own, of two people, whose decisions are kept."""
    gallery = shared.of_collection(f"c{uuid.uuid4().hex}")
    enrol(gallery, "1", ONE)
    enrol(gallery, "2", TWO)
    return gallery


def decide(gallery: Gallery, descriptor: Descriptor) -> None:
    gallery.accounts.keep_search(gallery.match(Probe.of(DLIB, descriptor)))


def store(gallery: Gallery, at: datetime, *made: KeptDecision, days: int = 30) -> None:
    with gallery.database.writing() as connection:
        decisions.keep(connection, made or (YES,), days, at)


def times(gallery: Gallery) -> list[str]:
    return [each.at[:10] for each in gallery.accounts.decisions(100)]


def test_they_are_deleted_when_their_days_are_over(alone: Gallery) -> None:
    for days_ago in (31, 29, 8, 1):
        store(alone, NOW - timedelta(days=days_ago))
    store(alone, NOW - timedelta(days=2), days=1)  # by a service that keeps them for a day
    assert len(times(alone)) == 5
    assert decisions.purge(alone.database, 30, NOW) == 2
    assert times(alone) == ["2026-11-29", "2026-11-22", "2026-11-01"]
    assert decisions.purge(alone.database, 30, NOW) == 0
    assert decisions.purge(alone.database, 7, NOW) == 2  # the service was set to fewer days
    assert decisions.purge(alone.database, 0, NOW) == 0  # it keeps none any more: the others' days still count
    assert decisions.purge(alone.database, 0, NOW + timedelta(days=29)) == 1
    with alone.database.reading() as connection:
        purges = connection.scalars(sa.select(trail.c.details).where(trail.c.action == "purge")).all()
    assert purges == ['{"decisions":2}', '{"decisions":2}', '{"decisions":1}']


def test_many_are_deleted_some_at_a_time(alone: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "MAX_DELETED", 20)
    store(alone, NOW - timedelta(days=40), *[YES] * 50)
    store(alone, NOW)
    assert decisions.purge(alone.database, 30, NOW) == 50
    assert times(alone) == ["2026-11-30"]


def test_a_decision_is_on_the_trail_of_its_person(kept: Gallery) -> None:
    decide(kept, ONE)
    decide(kept, np.zeros(128, np.float32) - 1)
    found = kept.accounts.decisions(10)
    assert [(each.user_id, each.verdict) for each in found] == [(None, "no"), ("1", "yes")]
    with kept.database.reading() as connection:
        last = page(connection, 10, person="1")[0]
        assert (last.action, last.result) == ("match", "yes")
        assert check(connection).faults == []


def test_they_go_with_the_person_and_move_with_them(kept: Gallery) -> None:
    store(kept, NOW, YES, YES, KeptDecision("search", "2", 0.2, None, "look_again", "cohort", DLIB.name))
    enrol(kept, "1", ONE + np.float32(0.001), replace=True)
    assert len(kept.accounts.decisions(10, user_id="1")) == 2
    kept.erase_user("1")
    assert [each.user_id for each in kept.accounts.decisions(10)] == ["2"]
    with kept.database.writing() as connection:
        decisions.move(connection, "2", "3")
    assert [each.user_id for each in kept.accounts.decisions(10, user_id="3")] == ["3"]


def test_who_is_erased_before_a_decision_about_them_is_stored_is_not_named(kept: Gallery) -> None:
    decided = kept.match(Probe.of(DLIB, ONE))
    kept.erase_user("1")
    kept.accounts.keep_search(decided)
    assert [(each.user_id, each.verdict) for each in kept.accounts.decisions(10)] == [(None, "yes")]


def test_of_several_photos_the_last_takes_them_along(kept: Gallery) -> None:
    second = enrol(kept, "1", ONE + np.float32(0.001))[0]
    decide(kept, ONE)
    kept.erase_record(second.id)
    assert len(kept.accounts.decisions(10)) == 1
    kept.erase_user("1")
    assert kept.accounts.decisions(10) == []


def test_a_collection_sees_its_own(kept: Gallery) -> None:
    other = kept.of_collection(f"{kept.database.collection}b")
    enrol(other, "1", ONE)
    decide(other, ONE)
    decide(kept, ONE)
    decide(kept, ONE)
    assert (len(kept.accounts.decisions(10)), len(other.accounts.decisions(10))) == (2, 1)
    other.erase_user("1")
    assert (len(kept.accounts.decisions(10)), len(other.accounts.decisions(10))) == (2, 0)
    with other.database.reading() as connection:
        about = page(connection, 10, person="1")
    assert [entry.action for entry in about] == ["erase", "match", "enrol"]
    assert {entry.collection for entry in about} == {other.database.collection}


def test_notes_of_many_requests_share_a_transaction(tmp_path: Path) -> None:
    commits: list[object] = []
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", trail=True)) as gallery:
        sa.event.listen(gallery.database._engine, "commit", commits.append)
        gathered: list[Future[None]] = []
        _gather(gallery, 200, gathered)
        for each in gathered:
            each.result(30)
        with gallery.database.reading() as connection:
            assert {entry.action for entry in page(connection, 200)} == {"list"}
            assert check(connection).entries == 201
    assert len(commits) < 100  # on a busy machine some are written before others come


def test_too_many_notes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 50)
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", trail=True)) as gallery:
        gathered: list[Future[None]] = []
        with pytest.raises(Overloaded):
            _gather(gallery, 200, gathered)
        gathered[-1].result(30)  # what waited is written
        gallery.accounts.note("read", person="1")
        with gallery.database.reading() as connection:
            assert check(connection).entries == 2 + len(gathered)
        assert 50 <= len(gathered) <= 100  # as many may be written as wait


def _gather(gallery: Gallery, count: int, gathered: list[Future[None]]) -> None:
    """So many notes, as those of requests at the same time: all while another transaction runs."""
    token = to_await.set(gathered)
    try:
        with gallery.database.writing():
            for _ in range(count):
                gallery.accounts.note("list", person=EVERYBODY)
    finally:
        to_await.reset(token)
    return gathered


def test_an_answer_waits_for_its_notes_and_fails_with_them(tmp_path: Path) -> None:
    def noted(gallery: Gallery, error: Face128Error | None = None) -> None:
        gallery.accounts.note("read", person="1")
        if error:
            raise error

    async def ask(gallery: Gallery, error: Face128Error | None = None) -> None:
        await when_recorded(asyncio.to_thread(noted, gallery, error))

    path = tmp_path / "gallery.sqlite"
    with closing(Gallery(f"sqlite:///{path}", trail=True)) as gallery:
        asyncio.run(ask(gallery))
        with pytest.raises(NotFound):
            asyncio.run(ask(gallery, NotFound()))
        with gallery.database.reading() as connection:
            assert check(connection).entries == 3
        path.rename(tmp_path / "away.sqlite")
        with pytest.raises(GalleryDeleted):
            asyncio.run(ask(gallery))
        with pytest.raises(GalleryDeleted):
            asyncio.run(ask(gallery, NotFound()))


def test_nothing_is_kept_unless_it_is_wanted(tmp_path: Path) -> None:
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")) as gallery:
        enrol(gallery, "1", ONE)
        decide(gallery, ONE)
        gallery.accounts.keep_verification(gallery.verify("1", Probe.of(DLIB, ONE)))
        gallery.accounts.note("list", person=EVERYBODY)
        with pytest.raises(Duplicate):
            enrol(gallery, "2", ONE)
        gallery.erase_user("1")
        with gallery.database.reading() as connection:
            assert page(connection, 10) == []
            assert decisions.page(connection, 10) == []
        assert gallery._accounts._recorder._thread is None
