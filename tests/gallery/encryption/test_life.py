"""An encrypted gallery answers as one in clear, and its files hold nobody's name or descriptor."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encrypted_galleries import Place, dump, files_in, in_clear, in_folder, people_nobody_else_has

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.errors import Face128Error
from face128.gallery.gallery import Gallery
from face128.gallery.rows.person_lookup import look_up
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.transfer.exporting import export_members
from face128.gallery.transfer.importing import import_members
from face128.gallery.transfer.member_file import MemberFile

NAMES = ["Ottilie Wildermuth", "Zacharias Werner", "王小波之墓"]
METADATA = {"room": "Kaiserpfalz 1871", "locker": 17}
PEOPLE = people_nobody_else_has(30)
SECOND = np.random.default_rng(7).normal(size=(30, 256)).astype(np.float32)
ANY_ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@dataclass
class Life:
    """What happens in a gallery, and every answer that it gave."""

    gallery: Gallery
    answers: list[Any] = field(default_factory=list)

    def live(self) -> list[str]:
        for number in range(20):
            photos = [(number, 0.0), (number, 0.004)][: 1 + number % 2]
            self.enrol(f"reg-{1800 + number}", NAMES[number % 3], photos, companions=number % 4 == 3)
        self.enrol("reg-1999", "Somebody else", [(5, 0.001)])  # refused: reg-1805's face
        self.enrol("reg-1801", NAMES[1], [(25, 0.0)])  # refused: another face than theirs
        self.record("Zacharias Werner", 26)
        self.ask()
        self.enrol("reg-1805", "Achim von Arnim", [(5, 0.008)])  # renamed
        self.enrol("reg-1807", NAMES[1], [(27, 0.0)], replace=True, force=True)
        self.enrol("reg-1802", NAMES[2], [(2, 0.0)], companions=True)  # completed
        self.erase(lambda: self.gallery.erase_user("reg-1804"))
        self.erase(lambda: self.gallery.erase_user("reg-1804"))
        one = self.gallery.page(0, 100)[1]
        self.erase(lambda: self.gallery.erase_record(next(r.id for r in one if r.person.user_id == "reg-1803")))
        self.ask()
        self.exchange()
        self.ask()
        return [ANY_ID.sub("an id", repr(answer)) for answer in self.answers]

    def enrol(
        self, user_id: str, name: str, photos: list[tuple[int, float]], companions: bool = False, **options: bool
    ) -> None:
        new = []
        for person, away in photos:
            vector = (PEOPLE[person] + np.float32(away)).astype(np.float32)
            others = {RETAIL.name: (SECOND[person] + np.float32(away)).astype(np.float32)} if companions else {}
            facts = {"quality": {"verdict": "good"}}
            new.append(NewFace(vector, vector.tobytes(), METADATA, facts, companions=others))
        self.answer(lambda: [said(r) for r in self.gallery.enrol(Person(name, user_id), new, DLIB, **options)])

    def record(self, name: str, person: int) -> None:
        new = NewFace(PEOPLE[person], b"photo")
        found = self.gallery.enrol(Person.of_new_record(name), [new], DLIB, force=True)
        again = self.gallery.enrol(Person.of_new_record(name), [new], DLIB, force=True)
        assert [r.id for r in found] == [r.id for r in again] == [found[0].person.user_id]
        self.answers += [found[0].person.name, self.gallery.record(found[0].id).position]

    def erase(self, deed: Callable[[], Any]) -> None:
        self.answer(lambda: [said(record) for record in deed().records])

    def exchange(self) -> None:
        """Export all, and import it: nothing is new."""
        written = io.StringIO()
        self.answers.append(export_members(self.gallery, written, DLIB.name))
        members = json.loads(written.getvalue())["enrolled"]
        self.answers.append([(m["name"], m["descriptors"]) for m in members])
        for user_id in ("reg-1809",):
            if user_id:
                self.gallery.erase_user(user_id)
            found = import_members(self.gallery, MemberFile(io.BytesIO(written.getvalue().encode())))
            self.answers.append((found.faces, found.new))

    def ask(self) -> None:
        gallery = self.gallery
        gallery.load()
        for number, vector in enumerate(PEOPLE[:28]):
            for probe in (Probe.of(DLIB, vector), Probe.of(DLIB, vector, {RETAIL.name: SECOND[number]})):
                for rule in (Rule(), Rule("cohort", 0.2)):
                    self.answer(lambda probe=probe, rule=rule: gallery.match(probe, rule=rule, explain=True))  # type: ignore[misc]
            self.answers.append([(said(hit.record), hit.distance) for hit in gallery.search(Probe.of(DLIB, vector), 3)])
            self.answer(lambda n=number, v=vector: gallery.verify(f"reg-{1800 + n}", Probe.of(DLIB, v)).distance)  # type: ignore[misc]
        total, records = gallery.page(3, 10)
        self.answers += [total, [said(record) for record in records]]
        self.answer(lambda: [said(record) for record in look_up(gallery, "reg-1801").linked])
        self.answer(lambda: look_up(gallery, NAMES[0]))
        self.answer(lambda: said(gallery.record("unknown")))

    def answer(self, deed: Callable[[], Any]) -> None:
        try:
            self.answers.append(deed())
        except Face128Error as error:
            self.answers.append((type(error).__name__, str(error), error.context))


def said(record: Record) -> tuple[Any, ...]:
    person = record.person
    named = person.reg_no if not person.by_name else "a record"
    return named, person.name, record.metadata, record.photo_facts, record.model, record.companions, record.face_id


def test_it_answers_as_a_gallery_in_clear_on_every_database(place: Place, tmp_path: Path) -> None:
    (tmp_path / "clear").mkdir()
    with closing(Gallery(in_folder(tmp_path / "clear").url, template="mean")) as gallery:
        expected = Life(gallery).live()
    with closing(place.open(template="mean")) as one, closing(place.open(template="mean")) as other:
        assert Life(one).live() == expected
        probe = Probe.of(DLIB, PEOPLE[8])
        assert other.match(probe) == one.match(probe)
        assert all(
            any(name in answer for answer in expected) for name in ("Duplicate", "InconsistentPerson", "NotFound")
        )
    with closing(place.open(template="mean")) as later:  # nothing is read but what is in the files
        assert later.page(0, 100)[1][0].person.name == NAMES[0]
        assert later.match(probe).nearest.reg_no == "reg-1808"  # type: ignore[union-attr]


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def kept(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_gallery: Callable[[str], str],
    new_database: Callable[[str], str],
) -> Iterator[Any]:
    """A place, and all files that its server writes."""
    if request.param == "sqlite":
        yield in_folder(tmp_path), tmp_path
    else:
        server = request.getfixturevalue(request.param)
        yield Place(new_gallery(request.param), new_database(request.param)), server.folder


@pytest.mark.parametrize("encrypted", [True, False])
def test_no_file_has_a_window_of_a_descriptor_or_a_name(
    kept: tuple[Place, Path], encrypted: bool, tmp_path: Path
) -> None:
    """Database, write-ahead log, journal, binary log, temporary files: while it is open, and after its end. And what
    the database's own program dumps.
    """
    place, folder = kept
    begin = time.time()
    seed = 1 if encrypted else 2  # the same server has both
    people = people_nobody_else_has(12, seed)
    texts = [f"{name} {seed}" for name in ("Karoline Pichler", "Hofdichterin", "reg-no")]
    with closing(place.open() if encrypted else Gallery(place.url)) as gallery:
        for number, vector in enumerate(people):
            face = NewFace(vector, vector.tobytes(), {"title": texts[1]}, {"quality": {"verdict": texts[1]}})
            gallery.enrol(Person(texts[0], f"{texts[2]} {number % 6}"), [face], DLIB, force=True)
            gallery.match(Probe.of(DLIB, vector))
        gallery.enrol(Person(f"{texts[0]} renamed", f"{texts[2]} 3"), [NewFace(people[3], b"")], DLIB, force=True)
        gallery.erase_user(f"{texts[2]} 5")
        gallery.page(0, 20)
        found = in_clear(files_in(folder, begin), people, texts) if encrypted else set()
    found |= in_clear(files_in(folder, begin), people, texts)
    assert found == (set() if encrypted else {"a descriptor", *texts})
    (tmp_path / "dumped").mkdir()
    for number, url in enumerate([place.url, place.keystore_url] if encrypted else [place.url]):
        (tmp_path / "dumped" / str(number)).write_bytes(dump(url))
    assert in_clear(files_in(tmp_path / "dumped"), people, texts) == found
