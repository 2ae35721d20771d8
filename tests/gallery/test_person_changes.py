"""Renaming, terms, merging and a person's file, in the gallery on each database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collection_statements import watched_statements
from command_line import face128
from encrypted_galleries import in_folder
from people import Descriptor, add_record, at_distance, enrol, matched_reg_no, synthetic

from face128.domain.descriptors import from_base64
from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.errors import NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.people import people, people_pages, person_changes
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.rows.space_rows import read_descriptors
from face128.gallery.trail import reading

FACES = synthetic(6)
SECOND = np.linspace(-1, 1, 256, dtype=np.float32)
LATER = datetime(2099, 1, 31)


def photos(gallery: Gallery, user_id: str) -> dict[str, tuple[Any, ...]]:
    """What is stored of each of the person's photos, by its id in the API."""
    found: dict[str, tuple[Any, ...]] = {}
    with gallery.database.reading() as connection:
        for record in gallery.page(0, 100)[1]:
            if record.person.user_id == user_id:
                row = record.face_id, record.model, record.descriptor.astype("<f4").tobytes()
                (stored,) = read_descriptors(connection, [row])
                found[record.id] = record.created_at, json.dumps(record.metadata), str(record.photo_facts), stored
    return found


def add_pair(gallery: Gallery, user_id: str, vector: Descriptor) -> Record:
    face = NewFace(vector, vector.tobytes(), {"a": 1}, {"adjusted": {"turned": 90}}, {RETAIL.name: SECOND})
    return gallery.enrol(Person("Somebody", user_id), [face], DLIB, force=True)[0]


def test_a_merge_moves_everything_and_every_other_worker_sees_it(open_gallery: Any) -> None:
    check_merge(open_gallery(), open_gallery())


def test_a_merge_in_an_encrypted_gallery(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    with closing(place.open()) as gallery, closing(place.open()) as other:
        check_merge(gallery, other)


def check_merge(gallery: Gallery, other: Gallery) -> None:
    gallery.database.switch_trail(True)
    enrol(gallery, "1", [FACES[0], at_distance(FACES[0], 0.1)], terms={"consent": "form 1", "expires_at": LATER})
    add_pair(gallery, "1", at_distance(FACES[0], 0.05))
    enrol(gallery, "2", at_distance(FACES[0], 0.15), "The name that stays", force=True)
    enrol(gallery, "3", FACES[3], force=True)
    assert matched_reg_no(other, FACES[0]) == "1"
    before = photos(gallery, "1") | photos(gallery, "2")
    merged = person_changes.merge(gallery, "1", "2")
    assert len(merged.records) == 3
    assert photos(gallery, "2") == before
    assert {matched_reg_no(each, FACES[0]) for each in (gallery, other)} == {"2"}
    assert matched_reg_no(other, FACES[3]) == "3"
    pair = Probe.of(DLIB, FACES[0], {RETAIL.name: SECOND})
    assert [hit.record.person.name for hit in other.search(pair, 4)] == ["The name that stays"] * 4
    with gallery.database.reading() as connection:
        known = people.terms_of(connection, ["1", "2"])
        (deed_of_one, *_), (deed_of_other, *_) = (reading.page(connection, 1, person=each) for each in "12")
    assert known.keys() == {"2"}
    assert (known["2"].consent, known["2"].expires_at) == ("form 1", None)
    assert deed_of_one.action == deed_of_other.action == "merge"


def test_what_cannot_be_merged_changes_nothing(open_gallery: Any) -> None:
    gallery = open_gallery()
    enrol(gallery, "1", FACES[0])
    before = photos(gallery, "1")
    for user_id, into in (("1", "nobody"), ("nobody", "1")):
        with pytest.raises(NotFound):
            person_changes.merge(gallery, user_id, into)
    assert photos(gallery, "1") == before


@pytest.fixture(params=["sqlite", "mariadb", "postgresql", "encrypted"])
def gallery(request: pytest.FixtureRequest, new_gallery: Any, tmp_path: Path) -> Iterator[Gallery]:
    encrypted = request.param == "encrypted"
    opened = in_folder(tmp_path).open() if encrypted else Gallery(new_gallery(request.param))
    with closing(opened):
        yield opened


def test_a_renamed_record_is_not_found_under_its_old_name(gallery: Gallery) -> None:
    first = add_record(gallery, "Old Name", FACES[0])
    person_changes.change(gallery, first.id, {"consent": "form 1"}, "New Name")
    again = add_record(gallery, "Old Name", FACES[0], force=True)
    assert again.id != first.id
    named = {record.id: record.person.name for record in gallery.page(0, 10)[1]}
    assert named == {first.id: "New Name", again.id: "Old Name"}
    with gallery.database.reading() as connection:
        assert people.terms_of(connection, [first.id, again.id])[first.id].consent == "form 1"


def test_pages_go_through_everybody_once_on_each_database(gallery: Gallery) -> None:
    ids = ["a", "B", "Ä", "é/x", "王", "10", "9", "a b", "A"]
    for user_id in ids:
        enrol(gallery, user_id, FACES[0], f"Name of {user_id}", force=True)
    found: list[str] = []
    after = None
    for _ in range(len(ids)):
        page, after = people_pages.page(gallery.database, after, 2)
        assert 0 < len(page) <= 2
        found += [one.person.user_id for one in page]
        if after is None:
            break
    assert (sorted(found), after) == (sorted(ids), None)
    for text, expected in (("name OF a", {"a", "a b", "A"}), ("ä", {"Ä"}), ("É/X", {"é/x"}), ("%", set())):
        page, _ = people_pages.page(gallery.database, search=text)
        assert {one.person.user_id for one in page} == expected


def test_a_persons_file_has_everything_about_them_and_nothing_of_others(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path}/gallery.sqlite"
    settings = {"FACE128_DATABASE_URL": database_url, "FACE128_DECISION_LOG_DAYS": "30"}
    with closing(Gallery(database_url)) as gallery:
        gallery.database.switch_trail(True)
        enrol(gallery, "1", FACES[0], "Ida Pell", terms={"consent": "form 1", "expires_at": LATER})
        add_pair(gallery, "1", at_distance(FACES[0], 0.1))
        enrol(gallery, "2", FACES[3], "Somebody Else", force=True)
    told = face128("gallery", "export", "--person", "1", tmp_path / "person.json", **settings)
    assert (told.returncode, told.stdout) == (0, "2 photos\n"), told.stderr
    text = (tmp_path / "person.json").read_text()
    found = json.loads(text)
    assert "Somebody Else" not in text
    assert (found["user_id"], found["regNo"], found["consent"], found["expires_at"]) == (
        "1",
        "1",
        "form 1",
        "2099-01-31T00:00:00Z",
    )
    first, second = found["photos"]
    assert np.array_equal(from_base64(first["descriptors"][DLIB.name]), FACES[0])
    assert np.array_equal(from_base64(second["descriptors"][RETAIL.name]), SECOND)
    assert (second["metadata"], second["adjusted"]) == ({"a": 1}, {"turned": 90})
    assert [entry["action"] for entry in found["trail"]] == ["enrol", "enrol"]
    nobody = face128("gallery", "export", "--person", "9", tmp_path / "nobody.json", **settings)
    assert (nobody.returncode, (tmp_path / "nobody.json").exists()) == (2, False)


def test_every_statement_about_a_person_is_about_one_collection(tmp_path: Path) -> None:
    with watched_statements() as found, closing(Gallery(f"sqlite:///{tmp_path}/g.db")) as gallery:
        enrol(gallery, "1", FACES[0], terms={"consent": "form 1", "expires_at": LATER})
        enrol(gallery, "2", FACES[1], force=True)
        people_pages.page(gallery.database, None, 1)
        people_pages.page(gallery.database, search="x")
        people_pages.count(gallery.database)
        person_changes.change(gallery, "1", {"consent": None}, "New")
        person_changes.merge(gallery, "1", "2")
        gallery.purger.due()
        gallery.purger.run()
    assert not found, "\n".join(found)
