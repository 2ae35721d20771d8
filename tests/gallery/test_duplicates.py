"""Faces are compared before the writer lock: whatever happens before it is held, no two people get one face."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from model_mixtures import Mixtures
from people import add_record, at_distance, enrol, photo_descriptor, synthetic
from several_models import DLIB, RETAIL

from face128.domain import model_card
from face128.domain.descriptors import distance
from face128.domain.model_card import find_card
from face128.errors import Duplicate, Face128Error, InconsistentPerson
from face128.gallery.enrolment import duplicates
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.search.searches import Searches
from face128.gallery.storage.database import Database

Open = Callable[..., Gallery]
OBAMA, OTHER_OBAMA, BIDEN, HOPPER = (
    photo_descriptor(f"{name}.jpg") for name in ("obama-2012", "obama-2009", "biden-2010", "hopper-1984")
)
THRESHOLD = 0.38
TIMEOUT_S = 120


@pytest.fixture
def in_between(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets something happen after a gallery's comparison, before it has the lock: the first ``times`` that it locks."""

    def let(gallery: Gallery, deed: Callable[[], Any], times: int = 1) -> None:
        database, left = gallery.database, iter(range(times))

        @contextmanager
        def locking() -> Iterator[sa.Connection]:
            if next(left, None) is not None:
                deed()
            with Database.writing(database) as connection:
                yield connection

        monkeypatch.setattr(database, "writing", locking)

    return let


def test_what_another_service_enrols_meanwhile_is_compared(open_gallery: Open, in_between: Callable[..., None]) -> None:
    one, other = open_gallery(), open_gallery()
    enrol(one, "before", HOPPER)
    in_between(one, lambda: enrol(other, "1", at_distance(BIDEN, 0.55), "Joe Biden"))
    with pytest.raises(Duplicate) as caught:
        enrol(one, "2", [BIDEN, at_distance(BIDEN, 0.35)], "Somebody else")
    named = caught.value.context
    assert (named["user_id"], named["name"], named["index"]) == ("1", "Joe Biden", 1)
    assert one.page(0, 10)[0] == 2
    in_between(one, lambda: enrol(other, "3", OBAMA))
    assert enrol(one, "4", synthetic(1)[0])  # nobody's
    in_between(one, lambda: enrol(other, "5", synthetic(2)[1], force=True))
    assert enrol(one, "5", at_distance(synthetic(2)[1], 0.1))  # the same person


def test_the_threshold_is_inclusive_to_the_last_bit_for_what_came_meanwhile(
    tmp_path: Path, in_between: Callable[..., None]
) -> None:
    gallery, other = (Gallery(f"sqlite:///{tmp_path}/gallery.sqlite") for _ in range(2))
    near = at_distance(OBAMA, 0.3)
    exact = distance(OBAMA, near, "euclidean")
    in_between(gallery, lambda: enrol(other, "1", OBAMA))

    def enrol_by(threshold: float) -> list[Record]:
        card = replace(model_card.DLIB, threshold=threshold)
        return gallery.enrol(Person("Somebody", "2"), [NewFace(near, b"photo")], card)

    with pytest.raises(Duplicate):
        enrol_by(exact)
    other.erase_user("1")
    in_between(gallery, lambda: enrol(other, "1", OBAMA))
    assert enrol_by(float(np.nextafter(exact, 0)))
    gallery.close()
    other.close()


def test_who_is_renamed_meanwhile_is_another_person(open_gallery: Open, in_between: Callable[..., None]) -> None:
    one, other = open_gallery(), open_gallery()
    enrol(one, "46", BIDEN, "Joe")
    in_between(one, lambda: enrol(other, "46", at_distance(BIDEN, 0.1), "Joseph"))
    with pytest.raises(Duplicate):
        add_record(one, "Joe", at_distance(BIDEN, 0.05))
    assert add_record(one, "Joseph", at_distance(BIDEN, 0.05))


def test_who_is_erased_meanwhile_no_longer_counts_among_the_persons_photos(
    open_gallery: Open, in_between: Callable[..., None]
) -> None:
    one, other = open_gallery(), open_gallery()
    enrol(one, "44", OBAMA)
    in_between(one, lambda: (other.erase_user("44"), enrol(other, "44", HOPPER)))
    with pytest.raises(InconsistentPerson):
        enrol(one, "44", OTHER_OBAMA)
    assert [record.person.user_id for record in one.page(0, 10)[1]] == ["44"]


def test_what_another_service_enrols_meanwhile_for_the_same_person_counts(
    open_gallery: Open, in_between: Callable[..., None]
) -> None:
    one, other = open_gallery(), open_gallery()
    in_between(one, lambda: enrol(other, "46", HOPPER))
    with pytest.raises(InconsistentPerson):
        enrol(one, "46", BIDEN)
    in_between(one, lambda: add_record(other, "Barack", HOPPER, force=True))
    with pytest.raises(InconsistentPerson):
        add_record(one, "Barack", OBAMA)


def test_while_much_changes_it_is_compared_again_and_ends(
    open_gallery: Open, in_between: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MAX_CHANGES", 2)
    one, other = open_gallery(), open_gallery()
    fresh = iter(range(100))

    def import_some(face: np.ndarray | None = None) -> None:
        for row in synthetic(3, seed=1000 + next(fresh)) if face is None else [face, face, face]:
            number = next(fresh)
            enrol(other, f"imported {number}", row, force=True)

    in_between(one, import_some, times=100)  # as long as it lasts
    assert enrol(one, "44", OBAMA)
    before = next(fresh)
    meanwhile = iter([*[None] * duplicates.MAX_COMPARISONS, HOPPER])
    in_between(one, lambda: import_some(next(meanwhile)), times=100)  # the last time that it locks, the same face
    with pytest.raises(Duplicate):
        enrol(one, "45", HOPPER)
    assert next(fresh) < before + 30  # it has not tried for ever


def test_the_lock_is_not_held_while_all_faces_are_compared(
    open_gallery: Open, in_between: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = open_gallery(), open_gallery()
    nearest_faces, writing = Searches.nearest_faces, []

    def noted(self: Searches, connection: sa.Connection, *arguments: Any) -> Any:
        writing.append(one.database.is_writing(connection))
        return nearest_faces(self, connection, *arguments)

    monkeypatch.setattr(Searches, "nearest_faces", noted)
    enrol(one, "44", [OBAMA, OTHER_OBAMA])
    in_between(one, lambda: enrol(other, "1", HOPPER))
    enrol(one, "46", BIDEN)
    assert writing == [False] * 4


class Several:
    """A gallery of two networks in which what is erased or completed changes where a person is decided."""

    def __init__(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/gallery.sqlite"
        self.one, self.other = (Gallery(url, decision_models="dlib+retail") for _ in range(2))
        self.faces = {
            person: {model: np.array(numbers, np.float32) for model, numbers in Mixtures(0).face(person, 0).items()}
            for person in (1, 2, 3)
        }

    def photo(self, models: dict[str, int], source: str) -> NewFace:
        """A photo with the descriptors of these people by these models."""
        own = [self.faces[person][model] for model, person in models.items()]
        return NewFace(own[0], source.encode(), companions=dict(zip(list(models)[1:], own[1:], strict=True)))

    def enrol(
        self,
        gallery: Gallery,
        user_id: str,
        models: dict[str, int],
        source: str,
        name: str | None = None,
        **options: Any,
    ) -> Any:
        card = find_card(next(iter(models)))
        assert card is not None
        return gallery.enrol(Person(name, user_id), [self.photo(models, source)], card, **options)


def test_a_photo_by_both_that_is_erased_leaves_one_by_which_the_face_is_a_duplicate(
    tmp_path: Path, in_between: Callable[..., None]
) -> None:
    several = Several(tmp_path)
    several.enrol(several.one, "1", {DLIB: 1}, "by one")
    (both,) = several.enrol(several.one, "1", {DLIB: 3, RETAIL: 3}, "by both", force=True)
    new = {DLIB: 1, RETAIL: 2}  # decided by the pair: far
    assert several.enrol(several.one, "2", new, "new")
    several.one.erase_user("2")
    in_between(several.one, lambda: several.other.erase_record(both.id))
    with pytest.raises(Duplicate):
        several.enrol(several.one, "2", new, "new")


def test_who_is_renamed_meanwhile_leaves_a_record_by_which_the_face_is_a_duplicate(
    tmp_path: Path, in_between: Callable[..., None]
) -> None:
    several = Several(tmp_path)
    several.one.enrol(Person.of_new_record("Jo"), [several.photo({DLIB: 1}, "record")], find_card(DLIB))  # type: ignore[arg-type]
    both = {DLIB: 3, RETAIL: 3}
    several.enrol(several.one, "1", both, "by both", "Jo", force=True)  # one person with the record
    in_between(several.one, lambda: several.enrol(several.other, "1", both, "by both", "Joanna", force=True))
    with pytest.raises(Duplicate):
        several.enrol(several.one, "2", {DLIB: 1, RETAIL: 2}, "new")


def test_a_photo_that_is_completed_meanwhile_is_compared_by_what_it_has_now(
    tmp_path: Path, in_between: Callable[..., None]
) -> None:
    several = Several(tmp_path)
    several.enrol(several.one, "1", {DLIB: 1}, "photo")
    in_between(several.one, lambda: several.enrol(several.other, "1", {DLIB: 1, RETAIL: 2}, "photo"))
    with pytest.raises(Duplicate):
        several.enrol(several.one, "2", {RETAIL: 2}, "new")


def test_of_many_who_are_enrolled_at_once_no_two_have_one_face(open_gallery: Open) -> None:
    """Held against a comparison of all pairs in float64."""
    galleries = [open_gallery() for _ in range(3)]
    people = synthetic(6, seed=5)
    start = threading.Barrier(3, timeout=TIMEOUT_S)

    def attempts(number: int) -> None:
        random = np.random.default_rng(number)
        start.wait()
        for turn, person in enumerate(random.permutation(len(people))):
            face = people[person] + random.normal(0, 0.012, 128)  # some 0.19 from each other: one face
            try:
                enrol(galleries[number], f"{number}-{turn}", face.astype(np.float32))
            except Face128Error as error:
                assert isinstance(error, Duplicate)  # noqa: PT017

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(attempts, number) for number in range(3)]:
            future.result(TIMEOUT_S)
    enrolled = [record.descriptor.astype(np.float64) for record in galleries[0].page(0, 100)[1]]
    assert all(np.linalg.norm(a - b) > THRESHOLD for a, b in combinations(enrolled, 2))
    assert len(enrolled) == len(people)  # the first of each came in
