"""Encrypting a gallery that is in clear, and a new master key: beside enrolments, and killed at any moment."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from collection_statements import watched_statements
from command_line import face128
from encrypted_galleries import KEY, OTHER_KEY, Place, files_in, in_clear, in_folder, people_nobody_else_has
from people import enrol, matched_reg_no, photo_descriptor
from serving import environment

from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.errors import GalleryLocked
from face128.gallery.encryption.encrypting import count_faces_in_clear, encrypt, rekey
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.transfer.exporting import statistics

MOMENTS = int(os.environ.get("KILL_MOMENTS", "3"))  # KILL_MOMENTS=50 kills at so many
PEOPLE = people_nobody_else_has(400)
SECOND = people_nobody_else_has(8, 5).reshape(4, 256)
RELEASED_KEY = b64encode(sha256(b"the key of the released galleries of the tests").digest()).decode()
RELEASED = sorted((Path(__file__).parents[1] / "released").glob("*.sql"))
STEP_S = 0.02
END_S = 60
LONGEST_S = 2.0  # until a command is killed: it takes about as long


def fill(gallery: Gallery, people: int = 12) -> None:
    """People with two photos each, some with a second network; a record of the name of one of them."""
    for number in range(people):
        others = {RETAIL.name: SECOND[number]} if number < 4 else {}
        photos = [
            NewFace(PEOPLE[number] + i / 1000, bytes([i]), {"title": "Freifrau"}, companions=others) for i in range(2)
        ]
        gallery.enrol(Person(f"Bettina Brentano {number}", str(number)), photos, DLIB, force=True)
    photo = NewFace(PEOPLE[people], b"record")
    gallery.enrol(Person.of_new_record("Bettina Brentano 3"), [photo], DLIB, force=True)


def recognised(gallery: Gallery, numbers: range) -> None:
    wrong = [number for number in numbers if matched_reg_no(gallery, PEOPLE[number]) != str(number)]
    assert not wrong


def test_a_gallery_in_clear_is_sealed_on_every_database(place: Place) -> None:
    with closing(Gallery(place.url)) as gallery:
        fill(gallery)
        before = [(r.id, r.person, r.metadata, r.created_at, r.descriptor.tobytes()) for r in gallery.page(0, 99)[1]]
        models = statistics(gallery)
    with closing(place.open()) as gallery:
        recognised(gallery, range(12))  # both kinds are read
        assert gallery.details()["encryption"]["faces_in_clear"] == 25
        assert gallery.details()["encryption"]["next_step"] == "face128 gallery encrypt"
        enrol(gallery, "2", PEOPLE[2] + 0.004, name="Bettina Brentano 2")  # their other photos are sealed with it
        assert statistics(gallery)["people"] == models["people"]
        assert count_faces_in_clear(gallery.database) == 23
        gallery.erase_record(gallery.page(0, 99)[1][-1].id)
        assert encrypt(gallery.database) == 23
        assert count_faces_in_clear(gallery.database) == 0
        after = [(r.id, r.person, r.metadata, r.created_at, r.descriptor.tobytes()) for r in gallery.page(0, 99)[1]]
        assert after == before
        assert statistics(gallery) == models
        recognised(gallery, range(12))
        gallery.examine()
        assert gallery.details()["encryption"] == {"faces_in_clear": 0, "erased_faces": 0, "damaged_faces": 0}
        probe = Probe.of(DLIB, PEOPLE[3], {RETAIL.name: SECOND[3]})
        assert gallery.match(probe, explain=True).nearest.name == "Bettina Brentano 3"  # type: ignore[union-attr]
    assert_locked(place)


def assert_locked(place: Place) -> None:
    with pytest.raises(GalleryLocked):
        place.open(None)


def test_after_it_the_files_hold_nothing_in_clear(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    people = PEOPLE[:13]
    texts = ["Bettina Brentano", "Freifrau"]
    with closing(Gallery(place.url)) as gallery:
        fill(gallery)
    assert in_clear(files_in(tmp_path), people, texts) == {"a descriptor", *texts}
    done = face128("gallery", "encrypt", **place.settings())
    assert done.returncode == 0, done.stderr
    assert "25 faces encrypted" in done.stdout
    assert in_clear(files_in(tmp_path), people, texts) == set()
    assert "0 faces encrypted" in face128("gallery", "encrypt", **place.settings()).stdout


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_a_gallery_of_each_released_version_is_encrypted_in_place(tmp_path: Path, released: Path) -> None:
    place = in_folder(tmp_path)
    with closing(sqlite3.connect(tmp_path / "gallery.sqlite")) as connection:
        connection.executescript(released.read_text())
        clear = np.array([np.frombuffer(row[0], "<f4") for row in connection.execute("SELECT embedding FROM faces")])
    with closing(place.open()) as gallery:
        before = [(record.person, record.descriptor.tolist()) for record in gallery.page(0, 10)[1]]
        assert encrypt(gallery.database) == 2
        assert [(record.person, record.descriptor.tolist()) for record in gallery.page(0, 10)[1]] == before
        assert [gallery.match(Probe.of(DLIB, vector)).matched for vector in clear] == [True, True]
    assert in_clear(files_in(tmp_path), clear, ["Barack", "Hopper"]) == set()


@contextmanager
def enrolling(place: Place, keys: str, first: int) -> Iterator[list[int]]:
    """Somebody enrols all the time; who was acknowledged."""
    done: list[int] = []
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with closing(place.open(keys)) as gallery:
                number = first
                while not stop.wait(STEP_S) and number < len(PEOPLE):
                    enrol(gallery, str(number), PEOPLE[number], force=True)
                    done.append(number)
                    number += 1
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(END_S)
    assert not failures, failures


def killed_at_moments(command: list[str], settings: dict[str, str], longest_s: float) -> None:
    """Start the command again and again, and kill it."""
    dice = random.Random(26)
    for _ in range(MOMENTS):
        process = subprocess.Popen([sys.executable, "-m", "face128", *command], env=environment(**settings))
        try:
            process.wait(dice.uniform(0.2, longest_s))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()


def test_encrypting_beside_enrolments_and_killed_loses_nobody(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    with closing(Gallery(place.url)) as gallery:
        for number in range(80):
            enrol(gallery, str(number), PEOPLE[number], force=True)
    with enrolling(place, KEY, 80) as acknowledged:
        killed_at_moments(["gallery", "encrypt"], place.settings(), LONGEST_S)
        done = face128("gallery", "encrypt", **place.settings())
        assert done.returncode == 0, done.stderr
    with closing(place.open()) as gallery:
        assert count_faces_in_clear(gallery.database) == 0
        assert gallery.page(0, 1)[0] == 80 + len(acknowledged)
        recognised(gallery, range(80 + len(acknowledged)))
    assert len(acknowledged) > 5


def test_a_new_master_key_beside_enrolments_and_killed_loses_nobody(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    with closing(place.open(KEY)) as gallery:
        for number in range(60):
            enrol(gallery, str(number), PEOPLE[number], force=True)
    both = f"{OTHER_KEY},{KEY}"
    with enrolling(place, both, 60) as acknowledged:
        killed_at_moments(["gallery", "rekey"], place.settings(both), LONGEST_S)
        done = face128("gallery", "rekey", **place.settings(both))
        assert done.returncode == 0, done.stderr
    with pytest.raises(GalleryLocked):
        place.open(KEY)
    with closing(place.open(OTHER_KEY)) as gallery:
        recognised(gallery, range(60 + len(acknowledged)))
    assert len(acknowledged) > 5


def test_a_master_key_is_replaced_on_every_database(place: Place) -> None:
    with closing(place.open(KEY)) as gallery:
        for number in range(3):
            enrol(gallery, str(number), PEOPLE[number])
        token = gallery.database.vault.token("0")  # type: ignore[union-attr]
    both = f"{OTHER_KEY},{KEY}"
    with closing(place.open(both)) as gallery, closing(place.open(f"{KEY},{OTHER_KEY}")) as other:
        enrol(other, "3", PEOPLE[3])  # a process that is not restarted yet
        assert rekey(gallery.database) > 4
        gallery.erase_user("1")
        recognised(other, range(2, 4))
        assert rekey(gallery.database) == 0
    with closing(place.open(f"{KEY},{OTHER_KEY}")) as other:
        enrol(other, "4", PEOPLE[4])
    with pytest.raises(
        GalleryLocked, match="wrapped by another key"
    ):  # of a service that knew the old one as the first
        place.open(OTHER_KEY)
    with closing(place.open(both)) as gallery:
        assert rekey(gallery.database) > 0
    with closing(place.open(OTHER_KEY)) as gallery:
        assert [matched_reg_no(gallery, PEOPLE[number]) for number in range(4)] == ["0", None, "2", "3"]
        assert gallery.database.vault.token("0") == token  # type: ignore[union-attr]


def test_each_collection_is_sealed_and_keeps_its_people(sqlite_place: Place) -> None:
    with closing(Gallery(sqlite_place.url)) as gallery:
        enrol(gallery, "7", PEOPLE[0])
        enrol(gallery.of_collection("site"), "7", PEOPLE[1])
    with watched_statements() as found, closing(sqlite_place.open()) as gallery:
        assert encrypt(gallery.database) == 2
        tokens = {gallery.database.vault.token("7", name) for name in ("", "site")}  # type: ignore[union-attr]
        assert len(tokens) == 2
        site = gallery.of_collection("site")
        assert [matched_reg_no(gallery, vector) for vector in PEOPLE[:2]] == ["7", None]
        assert [matched_reg_no(site, vector) for vector in PEOPLE[:2]] == [None, "7"]
        second = NewFace(PEOPLE[1], b"again", companions={RETAIL.name: SECOND[1]})
        (again,) = site.enrol(Person("Renamed", "7"), [second], DLIB)
        site.erase_record(again.id)
        site.examine()
        assert site.details()["encryption"]["damaged_faces"] == 0
        site.erase_user("7")
        assert matched_reg_no(gallery, PEOPLE[0]) == "7"
    assert not found, "\n".join(found)  # each statement is about one collection


def test_a_command_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    for command in ("encrypt", "rekey"):
        done = face128("gallery", command, FACE128_DATA=str(tmp_path))
        assert (done.returncode, "new-key" in done.stderr) == (2, True)
    keys = {face128("gallery", "new-key").stdout.strip() for _ in range(2)}
    assert len(keys) == 2


def test_an_encrypted_gallery_of_a_released_version_is_opened(tmp_path: Path) -> None:
    """How rows, tokens and keys are sealed never changes, or is converted."""
    place = in_folder(tmp_path)
    for name in ("gallery", "keys"):
        with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as connection:
            connection.executescript((RELEASED[0].parent / "encrypted" / f"{name}.sql").read_text())
    with closing(place.open(RELEASED_KEY)) as gallery:
        assert [record.person.name for record in gallery.page(0, 10)[1]] == ["Barack Obama", "Grace Hopper"]
        assert matched_reg_no(gallery, photo_descriptor("obama-2012.jpg")) == "44"
        gallery.examine()
        assert gallery.details()["encryption"] == {"faces_in_clear": 0, "erased_faces": 0, "damaged_faces": 0}
        assert len(gallery.erase_user("44").records) == 1
