"""Pictures of enrolled photos: sealed, shown until their time is over, and gone with their photo."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from encrypted_galleries import Place, files_in, in_folder, people_nobody_else_has

from face128.domain.model_card import DLIB
from face128.domain.terms import utc_now
from face128.errors import NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.people import person_changes, thumbnails
from face128.gallery.people.person_file import person_file
from face128.gallery.people.retention import Retention
from face128.gallery.rows.person_lookup import look_up
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.storage.tables import faces
from face128.gallery.storage.tables import thumbnails as table
from face128.gallery.trail import reading

PEOPLE = people_nobody_else_has(6, seed=160)
HOURS = 5


class Clock:
    def __init__(self) -> None:
        self.time = utc_now()

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(place: Place, clock: Clock) -> Iterator[Callable[..., Gallery]]:
    galleries: list[Gallery] = []

    def one(**options: Any) -> Gallery:
        galleries.append(place.open(retention=keeping(clock), **options))
        return galleries[-1]

    yield one
    for gallery in galleries:
        gallery.close()


@pytest.fixture
def sqlite_gallery(sqlite_place: Place, clock: Clock) -> Iterator[Gallery]:
    with closing(sqlite_place.open(retention=keeping(clock), trail=True)) as gallery:
        yield gallery


def keeping(clock: Clock, hours: int = HOURS) -> Retention:
    return Retention(thumbnail_hours=hours, now=clock.now)


def jpeg(person: int, number: int = 0) -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x10JFIF" + f" the picture {number} of person {person} ".encode() * 40


def enrol(gallery: Gallery, person: int, photos: int = 1, name: str = "Somebody", **options: bool) -> list[Record]:
    new = [
        NewFace(PEOPLE[person] + number / 1000, bytes([person, number]), thumbnail=jpeg(person, number))
        for number in range(photos)
    ]
    return gallery.enrol(Person(name, str(person)), new, DLIB, **options)


def rows(gallery: Gallery) -> list[Any]:
    with gallery.database.reading() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.face_id)))


def shown(gallery: Gallery, records: list[Record]) -> list[bytes]:
    return [thumbnails.show(gallery, record.id) for record in records]


def test_they_are_shown_until_their_time_and_then_deleted(opened: Callable[..., Gallery], clock: Clock) -> None:
    gallery, other = opened(), opened()
    records = enrol(gallery, 0, 3)
    assert shown(gallery, records) == shown(other, records) == [jpeg(0, number) for number in range(3)]
    until = look_up(gallery, "0").thumbnails_until
    assert until == {record.face_id: clock.time + timedelta(hours=HOURS) for record in records}
    clock.time += timedelta(hours=HOURS) - timedelta(seconds=1)
    later = enrol(gallery, 1)
    assert len(shown(other, records)) == 3
    clock.time += timedelta(seconds=1)
    for record in records:
        with pytest.raises(NotFound, match="no picture"):
            thumbnails.show(gallery, record.id)
    assert look_up(gallery, "0").thumbnails_until == {}
    assert len(rows(gallery)) == 4
    gallery.purger.run()
    assert [row.face_id for row in rows(gallery)] == [later[0].face_id]
    assert shown(other, later) == [jpeg(1)]
    assert gallery.page(0, 9)[0] == 4  # the photos stay


def test_they_go_with_the_photo_the_person_and_a_foreign_deletion(opened: Callable[..., Gallery]) -> None:
    gallery = opened()
    several, alone = enrol(gallery, 0, 3), enrol(gallery, 1)
    gallery.erase_record(several[1].id)
    assert [row.face_id for row in rows(gallery)] == [several[0].face_id, several[2].face_id, alone[0].face_id]
    assert shown(gallery, [several[0], several[2]]) == [jpeg(0, 0), jpeg(0, 2)]  # by the new key
    enrol(gallery, 1, 2, name="Another name")
    assert shown(gallery, alone) == [jpeg(1)]
    gallery.erase_user("0")
    assert {row.face_id for row in rows(gallery)} == {record.face_id for record in enrol(gallery, 1, 2, "Another name")}
    replaced = enrol(gallery, 1, 1, replace=True)
    assert [row.face_id for row in rows(gallery)] == [replaced[0].face_id]
    with gallery.database.writing() as connection:  # as an older version erases
        connection.execute(sa.delete(faces).where(faces.c.id == replaced[0].face_id))
    assert rows(gallery) == []


def test_each_key_opens_its_own_place_alone(opened: Callable[..., Gallery]) -> None:
    gallery = opened()
    site = gallery.of_collection("site")
    own, foreign = enrol(gallery, 0, 2), enrol(site, 0, 2)
    for collection, records in ((gallery, foreign), (site, own)):
        with pytest.raises(NotFound):
            shown(collection, records)
    assert shown(site, foreign) == shown(gallery, own) == [jpeg(0, 0), jpeg(0, 1)]
    first, second = (row.sealed for row in rows(gallery)[:2])
    with gallery.database.writing() as connection:  # exchanged in the table
        for record, sealed in zip(own, (second, first), strict=True):
            connection.execute(sa.update(table).where(table.c.face_id == record.face_id).values(sealed=sealed))
    for record in own:
        with pytest.raises(NotFound):
            thumbnails.show(gallery, record.id)
    gallery.erase_record(own[0].id)  # what cannot be opened is no obstacle
    assert len(rows(gallery)) == 3


def test_merged_people_keep_theirs(opened: Callable[..., Gallery], clock: Clock) -> None:
    gallery = opened()
    records = enrol(gallery, 0, 2) + enrol(gallery, 1)
    clock.time += timedelta(hours=1)
    person_changes.merge(gallery, "0", "1")
    assert shown(gallery, records) == [jpeg(0, 0), jpeg(0, 1), jpeg(1)]
    assert set(look_up(gallery, "1").thumbnails_until.values()) == {clock.time + timedelta(hours=HOURS - 1)}


@pytest.mark.parametrize("encrypted", [True, False])
def test_no_file_has_a_picture_in_clear(tmp_path: Path, encrypted: bool, clock: Clock) -> None:
    place, begin = in_folder(tmp_path), time.time()
    options = {"retention": keeping(clock)}
    clear = [jpeg(person, number) for person in range(3) for number in range(2)]
    with closing(place.open(**options) if encrypted else Gallery(place.url, **options)) as gallery:  # type: ignore[arg-type]
        for person in range(3):
            enrol(gallery, person, 2)
        gallery.erase_user("2")
        assert len(rows(gallery)) == (4 if encrypted else 0)
        held = b"".join(path.read_bytes() for path in files_in(tmp_path, begin))
        assert not any(picture[8:48] in held for picture in clear)
        sealed = [row.sealed for row in rows(gallery)]
        assert all(each[:40] in held for each in sealed)
        clock.time += timedelta(hours=HOURS)
        gallery.purger.run()
        held = b"".join(path.read_bytes() for path in files_in(tmp_path, begin))
        assert not any(each[:40] in held for each in sealed)


def test_a_photo_of_a_person_in_clear_has_none_until_they_are_sealed(sqlite_place: Place, clock: Clock) -> None:
    with closing(Gallery(sqlite_place.url, retention=keeping(clock))) as gallery:
        (old,) = enrol(gallery, 0)
        assert rows(gallery) == []
    with closing(sqlite_place.open(retention=keeping(clock))) as gallery:
        enrol(gallery, 0)  # the same photo again: it is stored already, in clear
        assert rows(gallery) == []
        both = enrol(gallery, 0, 2)  # with a second one, the person is sealed
        assert both[0].id == old.id
        assert shown(gallery, both) == [jpeg(0, 0), jpeg(0, 1)]


def test_the_same_photo_again_is_kept_anew(sqlite_gallery: Gallery, clock: Clock) -> None:
    (record,) = enrol(sqlite_gallery, 0)
    clock.time += timedelta(hours=HOURS + 1)
    assert enrol(sqlite_gallery, 0)[0].id == record.id
    assert shown(sqlite_gallery, [record]) == [jpeg(0)]
    assert len(rows(sqlite_gallery)) == 1


def test_where_none_are_wanted_none_are_kept(sqlite_place: Place, clock: Clock) -> None:
    with closing(sqlite_place.open(retention=keeping(clock, hours=0))) as gallery:
        enrol(gallery, 0)
        assert rows(gallery) == []


def test_the_persons_file_and_the_trail_know_of_them(sqlite_gallery: Gallery) -> None:
    records = enrol(sqlite_gallery, 0, 2)
    written = person_file(sqlite_gallery, "0")["photos"]
    assert [base64.b64decode(each["thumbnail"]) for each in written] == [jpeg(0, 0), jpeg(0, 1)]
    thumbnails.show(sqlite_gallery, records[0].id)
    with sqlite_gallery.database.reading() as connection:
        entries = reading.page(connection, 10, person="0")
    assert [entry.action for entry in entries] == ["read", "enrol"]
