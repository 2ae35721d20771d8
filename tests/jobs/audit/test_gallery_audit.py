"""What an audit finds in a gallery's own rows: the same as in its export, and still true when it is shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encrypted_galleries import in_folder
from people import add_record, at_distance, enrol, synthetic

from face128.domain.model_card import DLIB, RETAIL
from face128.domain.terms import NO_CHANGES
from face128.gallery.gallery import Gallery
from face128.gallery.people import person_changes
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.transfer.exporting import export_members
from face128.jobs.audit import gallery_audit
from face128.jobs.audit.audit import audit
from face128.jobs.audit.close_pairs import close_pairs
from face128.jobs.audit.gallery_audit import AuditStopped, CurrentFinding, audit_gallery, still_true

VECTORS = synthetic(80, seed=3)
RANDOM = np.random.default_rng(1)
PLANTED = {
    ("duplicate", ("1", "2")),
    ("too_near", ("3", "4")),
    ("too_far", ("5",)),
    ("inconsistent_person", ("6",)),
    ("poor_photo", ("8",)),
}


@pytest.fixture
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gallery]:
    place = in_folder(tmp_path)
    with closing(place.open() if getattr(request, "param", "clear") == "encrypted" else Gallery(place.url)) as gallery:
        yield gallery


def plant(gallery: Gallery) -> None:
    """Forty people with one defect of each kind."""
    for number in range(10, 40):
        enrol(gallery, str(number), VECTORS[number], name=f"N{number}", force=True)
    enrol(gallery, "1", VECTORS[41], force=True)
    enrol(gallery, "2", VECTORS[41], force=True)
    enrol(gallery, "3", VECTORS[43], force=True)
    enrol(gallery, "4", at_distance(VECTORS[43], 0.3), force=True)
    enrol(gallery, "5", [VECTORS[45], at_distance(VECTORS[45], 0.5)], force=True)
    own = [at_distance(VECTORS[46], by) for by in (0, 0.1, 0.2)]
    enrol(gallery, "6", [*own, far_from(VECTORS[46])], force=True)
    poor = {"quality": {"verdict": "poor", "reasons": ["blurred"], "measures": {}}}
    gallery.enrol(Person("Eight", "8"), [NewFace(VECTORS[48], b"8", photo_facts=poor)], DLIB)


def far_from(vector: Any) -> Any:
    return max(VECTORS[60:], key=lambda other: float(np.linalg.norm(other - vector)))


def kinds(current: list[CurrentFinding]) -> set[tuple[str, tuple[str, ...]]]:
    return {(finding.kind, tuple(sorted(person.user_id for person in finding.people))) for finding in current}


def without_origin(found: set[Any]) -> set[Any]:
    """Synthetic descriptors look like no network's."""
    return {each for each in found if each[0] not in ("origin", "perhaps_one_person")}


@pytest.mark.parametrize("gallery", ["clear", "encrypted"], indirect=True)
def test_it_finds_what_was_planted_and_what_an_audit_of_the_export_finds(gallery: Gallery) -> None:
    plant(gallery)
    found = audit_gallery(gallery)
    current = still_true(gallery, found)
    planted = without_origin(kinds(current))
    assert planted >= PLANTED
    assert planted - {("too_far", ("6",))} == PLANTED
    exported = io.StringIO()
    export_members(gallery, exported)
    of_file = audit(exported.getvalue().encode()).findings
    expected = {(finding.kind, tuple(sorted(map(str, finding.members)))) for finding in of_file}
    assert without_origin(expected) == planted
    assert (found.people, found.photos, found.all_photos, found.suspects) == (37, 41, 41, True)
    assert found.counts["duplicate"] == 1
    assert found.models == {DLIB.name: 41}
    (foreign,) = [each for each in current if each.kind == "inconsistent_person"]
    records = {record.id: record for record in gallery.page(0, 100)[1]}
    (photo,) = foreign.photos
    assert np.array_equal(records[photo].descriptor, far_from(VECTORS[46]).astype(np.float64))


def test_it_keeps_nothing_that_names_anybody(gallery: Gallery) -> None:
    plant(gallery)
    text = repr(audit_gallery(gallery))
    assert "Eight" not in text
    assert not any(record.id in text for record in gallery.page(0, 100)[1])


@pytest.mark.parametrize("gallery", ["clear", "encrypted"], indirect=True)
def test_what_was_mended_is_not_shown(gallery: Gallery) -> None:
    plant(gallery)
    found = audit_gallery(gallery)
    gallery.erase_user("2")
    person_changes.merge(gallery, "4", "3")
    gallery.erase_user("8")
    left = {kind for kind, _ in without_origin(kinds(still_true(gallery, found)))}
    assert left == {"too_far", "inconsistent_person"}


def test_a_record_and_the_user_of_its_name_are_one_person(gallery: Gallery) -> None:
    add_record(gallery, "Vicky", VECTORS[0], force=True)
    enrol(gallery, "7", VECTORS[0], name="Vicky", force=True)
    enrol(gallery, "8", VECTORS[0], name="Another", force=True)
    found = audit_gallery(gallery)
    (finding,) = [each for each in still_true(gallery, found) if each.kind == "duplicate"]
    assert len({person.name for person in finding.people}) == 2
    person_changes.change(gallery, "8", NO_CHANGES, "Vicky")
    assert "duplicate" not in {each.kind for each in still_true(gallery, found)}


def test_pairs_of_two_networks_damaged_and_foreign_descriptors(gallery: Gallery) -> None:
    second = RANDOM.normal(size=(4, 256)).astype(np.float32)
    for number in range(4):
        own = {RETAIL.name: second[0] if number == 1 else second[number]}
        face = NewFace(VECTORS[0] if number == 1 else VECTORS[number], bytes([number]), companions=own)
        gallery.enrol(Person(None, str(number)), [face], DLIB, force=True)
    gallery.enrol(Person(None, "nan"), [NewFace(np.full(128, np.nan, np.float32), b"nan")], DLIB, force=True)
    gallery.enrol(Person(None, "zero"), [NewFace(np.zeros(128, np.float32), b"zero")], DLIB, force=True)
    found = kinds(still_true(gallery, audit_gallery(gallery)))
    assert {("duplicate", ("0", "1")), ("invalid_descriptor", ("nan",)), ("all_zero", ("zero",))} <= found
    assert sum(kind == "duplicate" for kind, _ in found) == 1, "both networks say it, and it is told once"


def test_a_collection_is_audited_alone(gallery: Gallery) -> None:
    enrol(gallery, "1", VECTORS[0])
    other = gallery.of_collection("north")
    enrol(other, "2", VECTORS[0])
    assert [audit_gallery(each).counts.get("duplicate", 0) for each in (gallery, other)] == [0, 0]


def test_a_large_gallery_is_looked_at_in_part_and_says_so(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(gallery)
    monkeypatch.setattr(gallery_audit, "MAX_PHOTOS", 9)
    monkeypatch.setattr(gallery_audit, "MAX_SUSPECT_PEOPLE", 3)
    monkeypatch.setattr(gallery_audit, "MAX_LISTED", 1)
    found = audit_gallery(gallery)
    assert (found.photos, found.all_photos, found.suspects) == (9, 41, False)
    current = still_true(gallery, found)
    assert ("too_near", ("3", "4")) in kinds(current)
    assert ("duplicate", ("1", "2")) not in kinds(current), "they are older"
    assert all(sum(each.kind == kind for each in current) <= 1 for kind in found.counts)


def test_it_ends_when_the_service_does(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(gallery)
    with pytest.raises(AuditStopped):
        audit_gallery(gallery, lambda _: True)


def test_the_nearest_of_a_kind_are_listed_first(gallery: Gallery) -> None:
    for number, by in enumerate((0.3, 0.1, 0.2)):
        enrol(gallery, f"a{number}", VECTORS[number], force=True)
        enrol(gallery, f"b{number}", at_distance(VECTORS[number], by), force=True)
    near = [each.distance for each in audit_gallery(gallery).findings if each.kind == "too_near"]
    assert near == sorted(near)
    assert near[:3] == pytest.approx([0.1, 0.2, 0.3], abs=1e-6)


def test_the_faster_search_finds_the_same_pairs() -> None:
    from face128.gallery.transfer.near_pairs import near_pairs

    vectors = synthetic(1500, seed=5)
    owners = np.arange(len(vectors)) % 700

    def near_rows(vectors: Any, metric: Any, limit: float) -> Any:
        return near_pairs(vectors, len(vectors), metric, limit, lambda _: None)

    expected = close_pairs(vectors, owners, "euclidean", 0.8)
    found = close_pairs(vectors, owners, "euclidean", 0.8, near_rows=near_rows)
    assert len(expected) > 100
    assert {pair[:2] for pair in found} == {pair[:2] for pair in expected}
    assert [pair[2] for pair in found] == pytest.approx([pair[2] for pair in expected], abs=1e-6)
