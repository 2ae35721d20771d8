"""One to one on every database: whose faces count, and that nobody else's are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from people import add_record, at_distance, enrol, photo_descriptor, synthetic

from face128.domain.descriptors import distance
from face128.domain.model_card import DLIB, FACEAPI, insightface_card
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.engines.fake import FAKE
from face128.errors import InvalidDescriptor, InvalidRequest, ModelMismatch, NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.storage.tables import faces

OBAMA, OBAMA_TOO, BIDEN = map(photo_descriptor, ("obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"))


def test_the_nearest_of_a_persons_faces_decides_and_the_threshold_is_inclusive(gallery: Gallery) -> None:
    enrol(gallery, "44", [at_distance(OBAMA, 0.3), OBAMA_TOO, at_distance(OBAMA, 0.9)], "Barack Obama", force=True)
    enrol(gallery, "other", at_distance(OBAMA, 0.01), force=True)
    exact = min(distance(face, OBAMA, "euclidean") for face in (at_distance(OBAMA, 0.3), OBAMA_TOO))
    found = gallery.verify("44", Probe.of(DLIB, OBAMA))
    assert (found.person.user_id, found.person.name) == ("44", "Barack Obama")
    assert (found.distance, found.threshold, found.model, found.verified) == (exact, 0.38, "dlib-resnet-v1", True)
    assert gallery.verify("44", Probe.of(DLIB, OBAMA), {DLIB.name: exact}).verified
    assert not gallery.verify("44", Probe.of(DLIB, OBAMA), {DLIB.name: float(np.nextafter(exact, 0))}).verified
    assert not gallery.verify("other", Probe.of(DLIB, BIDEN)).verified


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_with_each_template_a_match_and_a_verification_agree_to_the_last_bit(
    tmp_path: Path, template: Template
) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", template=template)
    people = synthetic(61)
    for index in range(0, 60, 3):
        enrol(gallery, str(index), people[index : index + 3], f"Person {index}", force=True)
    gallery.enrol(Person("Person 3", "3"), [NewFace(people[60], b"photo")], FACEAPI, force=True)
    add_record(gallery, "Person 6", people[60], force=True)
    distances = []
    for probe in people[:30] + np.random.default_rng(1).normal(0, 0.03, (30, 128)):
        decision = gallery.match(Probe.of(DLIB, probe))
        assert decision.nearest is not None
        assert gallery.verify(str(decision.nearest.reg_no), Probe.of(DLIB, probe)).distance == decision.nearest.distance
        distances.append(decision.nearest.distance)
    gallery.close()
    assert (max(distances) > 0.45) == (template == "mean")  # three synthetic faces of a person are far from their mean


def test_two_people_are_as_near_as_their_nearest_photos(gallery: Gallery) -> None:
    photos = synthetic(7).astype(np.float64)
    enrol(gallery, "one", photos[:3], force=True)
    enrol(gallery, "other", photos[3:7], force=True)
    exact = min(distance(one, other, "euclidean") for one in photos[:3] for other in photos[3:7])
    there, back = gallery.nearest_photos("one", "other"), gallery.nearest_photos("other", "one")
    assert there is not None
    assert back is not None
    assert (there.distance, there.threshold, there.verified) == (exact, 0.38, exact <= 0.38)
    assert back.distance == exact
    gallery.enrol(Person("A", "third"), [NewFace(photos[0], b"photo")], FAKE, force=True)
    assert gallery.nearest_photos("one", "third") is None
    with pytest.raises(NotFound):
        gallery.nearest_photos("one", "nobody")


def test_a_record_s_person_is_its_name_and_a_user_is_their_id(gallery: Gallery) -> None:
    first = add_record(gallery, "John Doe", OBAMA)
    add_record(gallery, "John Doe", BIDEN, force=True)
    add_record(gallery, "Another", at_distance(BIDEN, 0.1), force=True)
    enrol(gallery, "user", at_distance(BIDEN, 0.2), "John Doe", force=True)
    enrol(gallery, "namesake", at_distance(BIDEN, 0.3), "John Doe", force=True)
    assert gallery.verify(first.person.user_id, Probe.of(DLIB, BIDEN)).distance == 0
    assert gallery.verify(first.person.user_id, Probe.of(DLIB, at_distance(BIDEN, 0.2))).distance == 0
    assert gallery.verify("user", Probe.of(DLIB, BIDEN)).distance == 0  # the record of that name
    near_another = Probe.of(DLIB, at_distance(BIDEN, 0.3))  # who has that name too
    assert gallery.verify("user", near_another).distance > 0.05
    with pytest.raises(NotFound):
        gallery.verify("John Doe", Probe.of(DLIB, BIDEN))  # no user_id, as for an erasure


@pytest.mark.parametrize("user_id", ["nobody", "4", "44 ", "", "\x00", "x" * 256])
def test_who_is_not_enrolled_is_not_found(gallery: Gallery, user_id: str) -> None:
    enrol(gallery, "44", OBAMA)
    with pytest.raises((NotFound, InvalidRequest)):
        gallery.verify(user_id, Probe.of(DLIB, OBAMA))


def test_the_erased_are_not_found_at_once(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA)
    gallery.erase_user("44")
    with pytest.raises(NotFound):
        gallery.verify("44", Probe.of(DLIB, OBAMA))


def test_only_comparable_models_count(gallery: Gallery) -> None:
    gallery.enrol(Person("Barack Obama", "44"), [NewFace(OBAMA, b"photo")], FAKE)
    for card in (DLIB, insightface_card("insightface-x-00000000")):
        with pytest.raises(ModelMismatch):
            gallery.verify("44", Probe.of(card, np.ones(card.dimension)))
    gallery.enrol(Person("Barack Obama", "44"), [NewFace(OBAMA_TOO, b"photo")], FACEAPI)
    assert gallery.verify("44", Probe.of(DLIB, OBAMA)).distance == distance(OBAMA_TOO, OBAMA, "euclidean")


def test_a_probe_without_a_finite_distance_is_refused(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA)
    with pytest.raises(InvalidDescriptor):
        gallery.verify("44", Probe.of(DLIB, np.full(128, 1e200)))


@pytest.mark.parametrize("of_record", [False, True], ids=["user", "record"])
def test_nobody_else_is_read(open_gallery: Callable[[], Gallery], of_record: bool) -> None:
    gallery = open_gallery()
    for index, descriptor in enumerate(synthetic(30)):
        enrol(gallery, str(index), descriptor, "John Doe" if index % 2 else f"Person {index}", force=True)
        add_record(gallery, f"Record {index}", at_distance(descriptor, 0.2), force=True)
    user_id = add_record(gallery, "Jane Smith", OBAMA, force=True).person.user_id if of_record else "1"
    expected = gallery.verify(user_id, Probe.of(DLIB, OBAMA))
    others = sa.update(faces).where(faces.c.user_id != user_id)
    with gallery.database.writing() as connection:
        connection.execute(others.values(embedding=b"unreadable"))
    anew = open_gallery()  # nothing of it is loaded
    assert anew.verify(user_id, Probe.of(DLIB, OBAMA)) == expected
    with pytest.raises(ValueError, match="size"):
        anew.search(Probe.of(DLIB, OBAMA), 1)  # so it would have been noticed


@pytest.mark.parametrize("of_record", [False, True], ids=["user", "record"])
def test_the_statements_name_the_person_and_use_an_index(tmp_path: Path, of_record: bool) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    enrol(gallery, "44", OBAMA, "Barack Obama")
    user_id = add_record(gallery, "Joe Biden", BIDEN).person.user_id if of_record else "44"
    executed: list[tuple[str, tuple[object, ...]]] = []

    def remember(_: object, __: object, statement: str, parameters: tuple[object, ...], *___: object) -> None:
        executed.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", remember)
    try:
        gallery.verify(user_id, Probe.of(DLIB, OBAMA))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", remember)
    of_faces = [(statement, parameters) for statement, parameters in executed if "faces" in statement]
    with closing(sqlite3.connect(tmp_path / "gallery.sqlite")) as connection:
        plans = [
            connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()[0][3]
            for statement, parameters in of_faces
        ]
    gallery.close()
    assert [plan.partition(" USING")[2] for plan in plans] == [
        " INDEX ix_faces_user_id (user_id=?)",
        " INDEX ix_faces_name (name=?)",
    ]
