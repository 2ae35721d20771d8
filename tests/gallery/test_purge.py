"""Whose time is over is erased: by their own expires_at and by the operator's rules, once, with a receipt."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from command_line import face128
from encrypted_galleries import files_in, in_clear, in_folder
from people import at_distance, enrol, photo_descriptor, synthetic
from serving import serving

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.domain.terms import Terms, utc_now
from face128.errors import InvalidRequest
from face128.gallery.gallery import Gallery
from face128.gallery.people import people, person_changes, purge
from face128.gallery.people.purge import Purged
from face128.gallery.people.retention import Retention
from face128.gallery.storage.tables import faces
from face128.gallery.storage.tables import people as table
from face128.gallery.trail import reading

PEOPLE = synthetic(25)
DAY = timedelta(days=1)
RELEASED_GALLERIES = sorted((Path(__file__).parent / "released").glob("*.sql"))


class Clock:
    """Begins now, since created_at is the computer's."""

    def __init__(self) -> None:
        self.time = utc_now() + timedelta(seconds=5)

    def now(self) -> datetime:
        return self.time


Open = Callable[..., Gallery]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_one(database_url: str, clock: Clock) -> Iterator[Open]:
    opened: list[Gallery] = []

    def open_one(**rules: Any) -> Gallery:
        opened.append(Gallery(database_url, retention=Retention(now=clock.now, **rules)))
        return opened[-1]

    yield open_one
    for gallery in opened:
        gallery.close()


def enrolled(gallery: Gallery) -> set[str]:
    return {record.person.user_id for record in gallery.page(0, 1000)[1]}


def receipts(gallery: Gallery) -> list[dict[str, Any]]:
    """What the trail says of purges, the oldest first."""
    with gallery.database.reading() as connection:
        entries = reading.page(connection, 10_000)
    return [reading.readable(entry) for entry in reversed(entries) if entry.action == "purge"]


def test_who_has_expired_is_erased_from_their_time_on(open_one: Open, clock: Clock) -> None:
    gallery = open_one()
    gallery.database.switch_trail(True)
    enrol(gallery, "1", [PEOPLE[0], at_distance(PEOPLE[0], 0.1)], terms={"expires_at": clock.time + DAY})
    enrol(gallery, "2", PEOPLE[1], force=True, terms={"expires_at": clock.time + DAY + timedelta(seconds=1)})
    enrol(gallery, "3", PEOPLE[2], force=True, terms={"consent": "form 3"})
    clock.time += DAY - timedelta(seconds=1)
    assert (gallery.purger.due(), gallery.purger.run().people) == ([], 0)
    clock.time += timedelta(seconds=1)
    with pytest.raises(InvalidRequest, match="is over"):  # or the photo would be stored, and erased with them
        enrol(gallery, "1", at_distance(PEOPLE[0], 0.05))
    (due,) = gallery.purger.due()
    assert (due.person.user_id, due.faces, due.reason) == ("1", 2, "expired")
    assert gallery.match(Probe.of(DLIB, PEOPLE[0])).matched
    assert gallery.purger.run().faces == 2
    assert not gallery.match(Probe.of(DLIB, PEOPLE[0])).matched
    assert enrolled(gallery) == {"2", "3"}
    about_one, summary = receipts(gallery)
    assert (about_one["details"], summary["details"]) == ({"reason": "expired"}, {"people": 1, "faces": 2})
    with gallery.database.reading() as connection:
        assert about_one["person"] in {entry.person for entry in reading.page(connection, 10, person="1")}
        assert connection.scalars(sa.select(table.c.user_id).order_by(table.c.user_id)).all() == ["2", "3"]


def test_the_days_count_from_the_newest_photo_and_the_last_sight(open_one: Open, clock: Clock) -> None:
    gallery = open_one(days=30, inactive_days=10)
    for number in range(3):
        enrol(gallery, str(number), PEOPLE[number], force=True)
    with gallery.database.writing() as connection:
        people.saw(connection, ["1", "nobody"], (clock.time + 5 * DAY).date())
        people.saw(connection, ["1"], clock.time.date())  # an earlier day changes nothing
    enrol(gallery, "2", at_distance(PEOPLE[2], 0.1))
    with gallery.database.writing() as connection:
        last = connection.scalar(sa.select(sa.func.max(faces.c.id)))
        connection.execute(sa.update(faces).where(faces.c.id == last).values(created_at=clock.time + 5 * DAY))
    clock.time += 11 * DAY
    assert [(one.stored_id, one.reason) for one in gallery.purger.due()] == [("0", "inactive")]
    clock.time += 5 * DAY
    assert {(one.stored_id, one.reason) for one in gallery.purger.due()} == {(user_id, "inactive") for user_id in "012"}
    clock.time += 15 * DAY
    assert {(one.stored_id, one.reason) for one in gallery.purger.due()} == {
        ("0", "retention"),
        ("1", "retention"),
        ("2", "inactive"),
    }
    assert gallery.purger.run().people == 3
    with gallery.database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_two_services_on_one_database_purge_each_person_once(
    open_one: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH_PEOPLE", 3)  # so that they take turns
    galleries = [open_one(), open_one()]
    galleries[0].database.switch_trail(True)
    count = len(PEOPLE)
    for number, descriptor in enumerate(PEOPLE):
        enrol(galleries[0], str(number), descriptor, force=True, terms={"expires_at": clock.time + DAY})
    clock.time += DAY
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda gallery=gallery: done.append(gallery.purger.run().people))
        for gallery in galleries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (sum(done), enrolled(galleries[1])) == (count, set())
    found = receipts(galleries[0])
    marks = [entry["person"] for entry in found if entry["person"]]
    assert len(marks) == len(set(marks)) == count
    assert sum(entry["details"]["people"] for entry in found if not entry["person"]) == count


def test_what_is_known_of_a_person_goes_with_their_last_face_and_not_before(open_one: Open) -> None:
    gallery = open_one()
    terms = {"expires_at": utc_now() + DAY, "consent": "form 1"}
    first, second = enrol(gallery, "1", [PEOPLE[0], at_distance(PEOPLE[0], 0.1)], terms=terms)

    def known() -> Terms | None:
        with gallery.database.reading() as connection:
            return people.terms_of(connection, ["1"]).get("1")

    gallery.erase_record(first.id)
    assert known() == Terms(**terms)
    gallery.erase_record(second.id)
    assert known() is None
    enrol(gallery, "1", PEOPLE[0])
    assert known() is None


def test_terms_that_an_older_version_has_left_are_not_those_of_who_comes_after(open_one: Open, clock: Clock) -> None:
    gallery = open_one()
    enrol(gallery, "1", PEOPLE[0], terms={"expires_at": clock.time + DAY, "consent": "form 1"})
    with gallery.database.writing() as connection:  # as a version without the table people erases
        connection.execute(sa.text("DELETE FROM faces"))
    clock.time += DAY
    enrol(gallery, "1", PEOPLE[1])
    assert (gallery.purger.due(), enrolled(gallery)) == ([], {"1"})


def test_each_collection_is_purged_and_a_person_of_another_one_is_not(open_one: Open, clock: Clock) -> None:
    gallery = open_one()
    north = gallery.of_collection("north")
    enrol(gallery, "1", PEOPLE[0])
    enrol(north, "1", PEOPLE[0], terms={"expires_at": clock.time + DAY})
    enrol(north, "2", PEOPLE[1], force=True)
    clock.time += DAY
    assert [(one.collection, one.stored_id) for one in gallery.purger.due()] == [("north", "1")]
    assert gallery.purger.run().people == 1
    assert (enrolled(gallery), enrolled(north)) == ({"1"}, {"2"})
    assert not north.match(Probe.of(DLIB, PEOPLE[0])).matched


def test_a_service_purges_when_it_starts_and_the_command_does_when_it_is_told(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path}/gallery.sqlite"
    obama, hopper = photo_descriptor("obama-2012.jpg"), photo_descriptor("hopper-1984.jpg")
    with closing(Gallery(database_url)) as gallery:
        gallery.database.switch_trail(True)
        enrol(gallery, "44", obama, "Barack Obama", terms={"expires_at": utc_now() - DAY})
        enrol(gallery, "45", hopper, "Grace Hopper")
        settings = {"FACE128_DATABASE_URL": database_url, "FACE128_ENGINES": "fake"}
        told = face128("gallery", "purge", "--dry-run", **settings)
        line = {"regNo": "44", "name": "Barack Obama", "collection": "", "photos": 1, "reason": "expired"}
        assert (json.loads(told.stdout), enrolled(gallery)) == (line, {"44", "45"})
        with serving(**settings):
            wait = threading.Event()
            for _ in range(600):
                if enrolled(gallery) == {"45"}:
                    break
                wait.wait(0.1)
        assert enrolled(gallery) == {"45"}
        assert [entry["actor"] for entry in receipts(gallery)] == ["service:purge"] * 2
        enrol(gallery, "46", obama, terms={"expires_at": utc_now() - DAY})
        told = face128("gallery", "purge", **settings)
        assert (told.returncode, told.stdout) == (0, "Erased: 1 person, with 1 photo\n")
        assert enrolled(gallery) == {"45"}


def test_inactivity_needs_decisions_that_are_kept() -> None:
    refused = face128("gallery", "stats", FACE128_INACTIVE_DAYS="30")
    assert refused.returncode == 2
    assert "FACE128_INACTIVE_DAYS" in refused.stderr
    assert "FACE128_DECISION_LOG_DAYS" in refused.stderr


def test_an_encrypted_gallery_keeps_terms_sealed_and_purges(tmp_path: Path, clock: Clock) -> None:
    place = in_folder(tmp_path)
    with closing(Gallery(place.url)) as gallery:
        terms = {"consent": "consent-in-clear", "expires_at": clock.time + DAY}
        enrol(gallery, "1", PEOPLE[0], "Ida Pell", terms=terms)
    settings = place.settings()
    assert b"consent-in-clear" in (tmp_path / "gallery.sqlite").read_bytes()
    done = face128("gallery", "encrypt", **settings)
    assert done.returncode == 0, done.stderr
    with closing(place.open(retention=Retention(now=clock.now))) as gallery:
        enrol(gallery, "2", PEOPLE[1], force=True, terms={"consent": "consent-sealed", "expires_at": clock.time + DAY})
        enrol(gallery, "3", PEOPLE[2], force=True, terms={"consent": "consent-3"})
        with gallery.database.reading() as connection:
            known = people.terms_of(connection, ["1", "2", "3"])
            stored = connection.execute(sa.select(table)).all()
        assert {user_id: terms.consent for user_id, terms in known.items()} == {
            "1": "consent-in-clear",
            "2": "consent-sealed",
            "3": "consent-3",
        }
        assert not {row.user_id for row in stored} & {"1", "2", "3"}
        assert in_clear(files_in(tmp_path), PEOPLE[:3], ["consent-in-clear", "consent-sealed", "Ida Pell"]) == set()
        with gallery.database.writing() as connection:  # a damaged row goes, too
            connection.execute(sa.update(faces).where(faces.c.id == 1).values(sealed=b"\0" * 40))
        clock.time += DAY
        assert {one.person and one.person.user_id for one in gallery.purger.due()} == {None, "2"}
        assert gallery.purger.run() == Purged(2, 2, pending=False)
        assert enrolled(gallery) == {"3"}
        with gallery.database.reading() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(faces)) == 1
        assert not gallery.match(Probe.of(DLIB, PEOPLE[0])).matched


@pytest.mark.parametrize("released", RELEASED_GALLERIES, ids=lambda path: path.stem)
def test_the_rules_hold_for_a_gallery_of_each_released_version(tmp_path: Path, released: Path, clock: Clock) -> None:
    path = tmp_path / "gallery.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(released.read_text())
        connection.execute("UPDATE faces SET created_at = '2026-11-01 00:00:00' WHERE user_id = '44'")
        connection.commit()
    clock.time = datetime(2026, 12, 31, 12)
    with closing(Gallery(f"sqlite:///{path}", retention=Retention(days=60, now=clock.now))) as gallery:
        assert [(one.stored_id, one.reason) for one in gallery.purger.due()] == [("44", "retention")]
        (other,) = enrolled(gallery) - {"44"}
        person_changes.change(gallery, other, {"consent": "form 45", "expires_at": clock.time + DAY})
        assert gallery.purger.run().people == 1
        clock.time += DAY
        assert [(one.stored_id, one.reason) for one in gallery.purger.due()] == [(other, "expired")]
