"""Erasing destroys the person's key: no backup of the gallery brings them back while the keystore is today's."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from encrypted_galleries import KEY, Place, in_folder, people_nobody_else_has
from people import enrol, matched_reg_no, space_search

from face128.domain.model_card import DLIB, RETAIL
from face128.errors import NotFound
from face128.gallery.encryption.keystore import TOKEN_KEY
from face128.gallery.gallery import Gallery
from face128.gallery.rows import statements
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.stored_rows import stored_as
from face128.gallery.search.index_sync import FaissIndexSync
from face128.gallery.storage.tables import faces, key_destructions
from face128.gallery.transfer.exporting import statistics

PEOPLE = people_nobody_else_has(8)
DEADLINE_S = 30


def keys_of(gallery: Gallery) -> dict[str, str]:
    """The id of each person's key, by the rows' tokens."""
    with gallery.database.reading() as connection:
        return {row.user_id: row.key_id for row in connection.execute(sa.select(faces.c.user_id, faces.c.key_id))}


def keystore_ids(gallery: Gallery) -> set[str]:
    assert gallery.database.vault is not None
    return gallery.database.vault.keystore.all_ids() - {TOKEN_KEY}


def test_erasing_destroys_the_key_on_every_database(place: Place) -> None:
    with closing(place.open()) as gallery, closing(place.open()) as other:
        for number in range(4):
            enrol(gallery, str(number), [PEOPLE[number], PEOPLE[number] + 0.001], force=True)
        before = keys_of(gallery)
        assert len(set(before.values())) == 4
        assert matched_reg_no(other, PEOPLE[1]) == "1"
        erasure = gallery.erase_user("1")
        assert (len(erasure.records), erasure.pending) == (2, False)
        gone = set(before.values()) - set(keys_of(gallery).values())
        assert len(gone) == 1
        assert not gone & keystore_ids(gallery)
        assert matched_reg_no(gallery, PEOPLE[1]) is matched_reg_no(other, PEOPLE[1]) is None
        with gallery.database.reading() as connection:
            assert connection.scalars(sa.select(key_destructions.c.key_id)).all() == []


@pytest.mark.parametrize("way", ["record", "replace"])
def test_one_photo_less_is_a_new_key_for_the_others(sqlite_place: Place, way: str) -> None:
    with closing(sqlite_place.open()) as gallery:
        second = {RETAIL.name: PEOPLE[:2].reshape(-1)[:256]}
        faces_of = [NewFace(PEOPLE[0] + i / 1000, bytes([i]), {"n": i}, companions=second) for i in range(3)]
        records = gallery.enrol(Person("Karl", "7"), faces_of, DLIB)
        (old,) = set(keys_of(gallery).values())
        if way == "record":
            assert not gallery.erase_record(records[1].id).pending
        else:
            gallery.enrol(Person("Karl", "7"), faces_of[2:], DLIB, replace=True)
        (new,) = set(keys_of(gallery).values())
        assert new != old
        assert old not in keystore_ids(gallery)
        assert [r.metadata["n"] for r in gallery.page(0, 9)[1]] == ([0, 2] if way == "record" else [2])
        found = statistics(gallery)["models"]
        assert found[RETAIL.name] == found[DLIB.name]
        gallery.examine()
        assert gallery.details()["encryption"]["damaged_faces"] == 0
        assert matched_reg_no(gallery, PEOPLE[0] + 2 / 1000) == "7"


def test_a_backup_of_the_gallery_matches_nobody_who_was_erased(sqlite_place: Place, tmp_path: Path) -> None:
    with closing(sqlite_place.open()) as gallery:
        for number, vector in enumerate(PEOPLE[:5]):
            enrol(gallery, str(number), vector)
    shutil.copy(tmp_path / "gallery.sqlite", tmp_path / "backup.sqlite")
    with closing(sqlite_place.open()) as gallery:
        gallery.erase_user("1")
        gallery.erase_user("3")
    shutil.copy(tmp_path / "backup.sqlite", tmp_path / "gallery.sqlite")
    with closing(sqlite_place.open()) as gallery:
        assert [matched_reg_no(gallery, vector) for vector in PEOPLE[:5]] == ["0", None, "2", None, "4"]
        total, records = gallery.page(0, 10)
        assert (total, [record.person.user_id for record in records]) == (3, ["0", "2", "4"])
        found = statistics(gallery)
        assert (found["people"], found["faces"]) == (3, 3)
        assert gallery.details()["encryption"] == {"faces_in_clear": 0, "erased_faces": 2, "damaged_faces": 0}
        with pytest.raises(NotFound):
            gallery.erase_user("1")  # what is left of them goes all the same
        assert gallery.details()["encryption"]["erased_faces"] == 1
        enrol(gallery, "3", PEOPLE[3])  # who comes again is somebody new
        assert matched_reg_no(gallery, PEOPLE[3]) == "3"
        assert gallery.page(0, 10)[0] == 4


def test_keys_that_wait_when_the_process_is_killed_are_destroyed_by_the_next(sqlite_place: Place) -> None:
    with closing(sqlite_place.open()) as gallery:
        enrol(gallery, "1", PEOPLE[1])
        (key,) = keys_of(gallery).values()
        with gallery.database.writing() as connection:  # the commit of an erasure, and nothing after it
            statements.erase_faces(connection, stored_as(connection, faces.c.user_id, "1"))
        assert key in keystore_ids(gallery)
    with closing(sqlite_place.open()) as later:
        later.follow_erasures()
        deadline = time.monotonic() + DEADLINE_S
        while key in keystore_ids(later):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_erasure_says_that_it_waits_for_a_keystore_that_cannot_be_changed(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    with closing(place.open(hurried=True)) as gallery:
        enrol(gallery, "1", PEOPLE[1])
        with closing(sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)) as locking:
            locking.execute("BEGIN IMMEDIATE")
            assert gallery.database.vault is not None
            gallery.database.vault.keystore._engine.dispose()
            erasure = gallery.erase_user("1")
            assert erasure.pending
            assert matched_reg_no(gallery, PEOPLE[1]) is None
            locking.execute("ROLLBACK")
        gallery.follow_erasures()
        deadline = time.monotonic() + DEADLINE_S
        while keystore_ids(gallery) & set(waiting(gallery)) or waiting(gallery):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def waiting(gallery: Gallery) -> list[str]:
    with gallery.database.reading() as connection:
        return list(connection.scalars(sa.select(key_destructions.c.key_id)))


def test_a_destroyed_key_is_in_no_file_of_the_keystore(sqlite_place: Place, tmp_path: Path) -> None:
    with closing(sqlite_place.open()) as gallery:
        enrol(gallery, "1", PEOPLE[1])
        (key_id,) = keys_of(gallery).values()
        assert gallery.database.vault is not None
        ((_, _, wrapped),) = gallery.database.vault.keystore.read([key_id])
        assert any(wrapped in path.read_bytes() for path in tmp_path.glob("keys.sqlite*"))
        gallery.erase_user("1")
        assert not any(wrapped in path.read_bytes() for path in tmp_path.glob("keys.sqlite*"))
    assert KEY not in "".join(path.name for path in tmp_path.iterdir())


def test_nobody_is_lost_who_gets_a_new_key_while_their_old_rows_are_being_read(sqlite_place: Place) -> None:
    with closing(sqlite_place.open()) as gallery, closing(sqlite_place.open()) as reader:
        faces_of = [NewFace(PEOPLE[0] + i / 1000, bytes([i])) for i in range(3)]
        records = gallery.enrol(Person("Karl", "7"), faces_of, DLIB)
        index = space_search(reader).index
        assert isinstance(index, FaissIndexSync)
        with reader.database.reading() as connection:
            statements.current_version(connection)  # the transaction sees the gallery from here on
            gallery.erase_record(records[0].id)
            index.catch_up(connection)  # the keys of the rows that it reads are destroyed
        assert index.sizes() == {}
        assert matched_reg_no(reader, PEOPLE[0] + 2 / 1000) == "7"
        assert reader.page(0, 9)[0] == len(reader.page(0, 9)[1]) == statistics(reader)["faces"] == 2
        assert reader.details()["encryption"] == {"faces_in_clear": 0, "erased_faces": 0, "damaged_faces": 0}
        assert index.sizes() == {DLIB.name: 2}
