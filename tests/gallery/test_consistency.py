"""A photo that is not of the person is refused at enrolment, whichever endpoint it comes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from people import add_record, at_distance, enrol, photo_descriptor, synthetic

from face128.domain.model_card import FACEAPI
from face128.errors import InconsistentPerson
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person

OBAMA = [photo_descriptor(f"obama-{year}.jpg") for year in (2009, 2010, 2012)]
HOPPER, BIDEN = photo_descriptor("hopper-1984.jpg"), photo_descriptor("biden-2010.jpg")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Gallery]:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    yield gallery
    gallery.close()


def refused(enrolment: Callable[[], Any]) -> int:
    """The index that the refusal names."""
    with pytest.raises(InconsistentPerson) as error:
        enrolment()
    assert (error.value.code, error.value.status) == ("inconsistent_person", 409)
    assert error.value.context["distance"] > error.value.context["limit"] == 0.6
    return int(error.value.context["index"])


@pytest.mark.parametrize("place", range(4))
def test_of_several_photos_at_once_the_one_of_another_person_is_named(sqlite: Gallery, place: int) -> None:
    photos = [*OBAMA[:place], HOPPER, *OBAMA[place:]]
    assert refused(lambda: enrol(sqlite, "7", photos)) == place
    assert sqlite.page(0, 10)[0] == 0
    assert len(enrol(sqlite, "7", photos, force=True)) == 4


def test_two_photos_of_two_people_are_refused_and_nobody_knows_which_is_wrong(sqlite: Gallery) -> None:
    assert refused(lambda: enrol(sqlite, "7", [OBAMA[0], HOPPER])) == 1


def test_a_photo_is_compared_with_those_that_the_person_has(gallery: Gallery) -> None:
    enrol(gallery, "7", OBAMA[0])
    assert refused(lambda: enrol(gallery, "7", HOPPER)) == 0
    assert refused(lambda: enrol(gallery, "7", [OBAMA[1], HOPPER])) == 1
    enrol(gallery, "7", OBAMA[1])
    # Three photos of one other person are the majority; they are refused all the same.
    others = [HOPPER, at_distance(HOPPER, 0.1), at_distance(HOPPER, 0.2)]
    assert refused(lambda: enrol(gallery, "7", others)) == 0
    assert len(enrol(gallery, "7", others, replace=True)) == 3
    assert refused(lambda: enrol(gallery, "7", OBAMA[0])) == 0


def test_what_was_forced_does_not_hinder_the_persons_own_photos(sqlite: Gallery) -> None:
    enrol(sqlite, "7", OBAMA[:2])
    enrol(sqlite, "7", HOPPER, force=True)
    assert enrol(sqlite, "7", HOPPER)  # it is stored already
    assert enrol(sqlite, "7", OBAMA[2])
    assert refused(lambda: enrol(sqlite, "7", BIDEN)) == 0


def test_a_records_person_is_its_name(gallery: Gallery) -> None:
    add_record(gallery, "Barack", OBAMA[0])
    assert refused(lambda: add_record(gallery, "Barack", HOPPER)) == 0
    add_record(gallery, "Grace", HOPPER)
    assert refused(lambda: enrol(gallery, "7", BIDEN, "Barack")) == 0
    enrol(gallery, "8", BIDEN, "Joe")
    enrol(gallery, "9", synthetic(1)[0], "Joe", force=True)
    enrol(gallery, "10", synthetic(3)[2], "Joe")  # another user of this name is another person


def test_photos_of_another_model_are_not_compared(sqlite: Gallery) -> None:
    enrol(sqlite, "7", OBAMA[0])
    sqlite.enrol(Person("Somebody", "7"), [NewFace(HOPPER, b"x")], FACEAPI)
