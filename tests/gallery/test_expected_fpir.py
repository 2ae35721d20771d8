"""The expected FPIR of a gallery: that of a comparison of all with all in float64, and when it is measured and told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lfw import LFW, needs_lfw
from people import add_record, at_distance, enrol, photo_descriptor, synthetic

from benchmarks.lfw_descriptors import describe_faces
from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.engines.fake import FAKE
from face128.events import Listener, set_listener
from face128.gallery.cohort import expected_fpir
from face128.gallery.cohort.expected_fpir import KNOWN_PAIRS, MAX_STRANGER_SHARE, FpirWatch
from face128.gallery.cohort.fpir_thread import FpirThread
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.matching.stranger_estimates import share_of_strangers

OBAMA = photo_descriptor("obama-2012.jpg")
NEVER = threading.Event()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def few_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_fpir, "MIN_PEOPLE", 2)


def measured(gallery: Gallery) -> expected_fpir.ExpectedFpir:
    gallery.strangers.measure(60)
    assert gallery.strangers.latest is not None
    return gallery.strangers.latest


def by_definition(photos: dict[str, Any], threshold: float, *, mean: bool = False) -> float:
    """The share of people with another within the threshold; each of a person's photos asks, and counts the same."""
    total = 0.0
    for person, own in photos.items():
        others = [rows for other, rows in photos.items() if other != person]
        if mean:
            others = [rows.mean(axis=0, keepdims=True) for rows in others]
        far = np.concatenate(others).astype(np.float64)
        total += np.mean([np.sqrt(((far - photo) ** 2).sum(axis=1)).min() <= threshold for photo in own])
    return total / len(photos)


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_it_is_that_of_a_comparison_of_all_with_all(tmp_path: Path, few_suffice: None, template: Any) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", template=template)
    photos = {}
    for index, vector in enumerate(synthetic(40)):
        own = [vector, *(at_distance(vector, 0.1 * extra) for extra in range(1, 1 + index % 3))]
        photos[str(index)] = np.array(own)
        if index % 8 == 0:  # at the border: some of the photos are within the threshold
            photos[f"like {index}"] = np.array([at_distance(vector, 0.45)])
    for person, own in photos.items():
        enrol(gallery, person, own, force=True)
    found, share = measured(gallery), by_definition(photos, DLIB.threshold, mean=template == "mean")
    assert 0.05 < share < 0.6
    assert found.estimate.share == pytest.approx(share, abs=1e-12)
    assert found.estimate == share_of_strangers(found.estimate.share, len(photos))
    assert (found.faces, found.asked, found.basis) == (sum(map(len, photos.values())), found.faces, "members")
    assert found.thresholds == {DLIB.name: DLIB.threshold}
    gallery.close()


@needs_lfw
def test_it_is_that_of_real_people(small: Gallery, few_suffice: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = sorted((LFW / "images").iterdir())[:70]
    vectors, names = describe_faces([min(folder.glob("*.jpg")) for folder in folders], "fast")
    loose = replace(DLIB, threshold=0.65)  # of so few people, none are within 0.38
    monkeypatch.setattr(expected_fpir, "find_card", lambda model: loose if model == DLIB.name else None)
    for name, vector in zip(names, vectors, strict=True):
        enrol(small, str(name), vector, force=True)
    people = {str(name): vector[None].astype(np.float32) for name, vector in zip(names, vectors, strict=True)}
    share = by_definition(people, loose.threshold)
    assert 0.1 < share < 1
    assert measured(small).estimate.share == pytest.approx(share, abs=1e-12)


def test_a_record_and_a_user_of_its_name_are_no_strangers(small: Gallery, few_suffice: None) -> None:
    for index, vector in enumerate(synthetic(20)):
        enrol(small, str(index), vector, f"Name {index}", force=True)
    assert measured(small).estimate.share == 0
    add_record(small, "Name 3", at_distance(synthetic(20)[3], 0.1), force=True)
    assert measured(small).estimate.share == 0
    add_record(small, "Somebody else", at_distance(synthetic(20)[3], 0.2), force=True)
    assert measured(small).estimate.share > 0


def test_few_people_say_less_than_what_is_known_of_their_model(small: Gallery) -> None:
    assert small.details()["strangers"] == {"rule": "threshold", "expected_fpir": None}
    small.strangers.measure(60)
    assert small.strangers.latest is None  # nobody is enrolled
    for index, vector in enumerate(synthetic(10)):
        enrol(small, str(index), vector, force=True)
    found, (within, pairs) = measured(small), KNOWN_PAIRS[DLIB.name]
    assert found.basis == "known_pairs"
    assert found.estimate.share == pytest.approx(10 * within / pairs, rel=1e-3)
    assert 0 < found.estimate.low < found.estimate.share < found.estimate.high < 1e-4
    told = small.details()["strangers"]
    assert (told["basis"], told["asked"], told["faces"]) == ("known_pairs", 10, 10)
    assert "warning" not in told
    for index, vector in enumerate(synthetic(10)):  # unless they show more
        enrol(small, f"like {index}", at_distance(vector, 0.2), force=True)
    assert measured(small).basis == "members"
    assert measured(small).estimate.share == 1
    assert "cohort" in small.details()["strangers"]["warning"]


def test_what_is_known_of_pairs_counts_for_each_person() -> None:
    asked = [(f"user {index}", False) for index in range(100)]
    for faces, people in ((100, 100), (100_000, 100_000)):  # of many a few have asked: the others count as well
        judged = expected_fpir.judge(asked, {DLIB.name: 0.38}, faces)
        assert judged is not None
        assert judged[0].share == pytest.approx(1 - (1 - 9 / 9.08e6) ** people, rel=1e-9)
    judged = expected_fpir.judge(asked, {"insightface-unknown": 0.45}, 100)
    assert judged is not None
    assert judged[1] == "members"  # nothing is known of this model
    assert expected_fpir.judge([], {}, 0) is None


def test_a_sample_of_a_large_gallery_asks(small: Gallery, few_suffice: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_fpir, "SAMPLE_PHOTOS", 25)
    for index, vector in enumerate(synthetic(60)):
        enrol(small, str(index), vector, force=True)
        enrol(small, f"like {index}", at_distance(vector, 0.3), force=True)
    found = measured(small)
    assert (found.faces, found.asked, found.estimate.share) == (120, 25, 1)
    monkeypatch.setattr(expected_fpir.time, "monotonic", iter(range(1000)).__next__)  # each search takes seconds
    small.strangers.measure(9)
    assert small.strangers.latest is not None
    assert 0 < small.strangers.latest.asked < 10


def test_who_is_erased_meanwhile_and_an_unknown_model_do_not_ask(
    small: Gallery, few_suffice: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, vector in enumerate(synthetic(12)):
        enrol(small, str(index), vector, force=True)
    small.enrol(Person(None, "fake"), [NewFace(OBAMA, b"fake")], FAKE, force=True)
    ask, gone = FpirWatch._ask, iter(["3", "4"])

    def erase_and_ask(self: FpirWatch, connection: Any, face_id: int) -> Any:
        if (user := next(gone, None)) is not None:
            small.erase_user(user)
        return ask(self, connection, face_id=face_id)

    monkeypatch.setattr(FpirWatch, "_ask", erase_and_ask)
    assert measured(small).asked in (10, 11)  # the first may have asked before it was erased


def test_people_are_compared_in_the_space_that_decides_them(tmp_path: Path, few_suffice: None) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")
    random = np.random.default_rng(0)
    for index, vector in enumerate(synthetic(20)):
        companion = random.normal(size=256).astype(np.float32)
        for name, shift in (("", 0.0), ("like ", 0.1)):
            face = NewFace(at_distance(vector, shift), f"{name}{index}".encode(), companions={RETAIL.name: companion})
            gallery.enrol(Person(None, f"{name}{index}"), [face], DLIB, force=True)
    found = measured(gallery)
    assert found.estimate.share == 1
    assert found.thresholds == {f"{DLIB.name}+{RETAIL.name}": 0.66}
    gallery.close()


def test_by_the_cohort_rule_it_is_alpha(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", rule=Rule("cohort", 0.02))
    gallery.strangers.refresh(NEVER)
    assert (gallery.strangers.share, gallery.strangers.latest) == (0.02, None)
    told = gallery.details()["strangers"]
    assert told == {"rule": "cohort", "expected_fpir": 0.02, "basis": "alpha", "tail": "auto"}
    gallery.close()


def test_a_collection_is_measured_by_itself(small: Gallery, few_suffice: None) -> None:
    other = small.of_collection("site-2")
    for index, vector in enumerate(synthetic(10)):
        enrol(small, str(index), vector, force=True)
        enrol(other, str(index), vector, force=True)
        enrol(other, f"like {index}", at_distance(vector, 0.2), force=True)
    assert (measured(small).estimate.share, measured(small).faces) == (0, 10)
    assert (measured(other).estimate.share, measured(other).faces) == (1, 20)
    heard: list[tuple[str, float]] = []

    class Recording(Listener):
        def expected_fpir(self, rule: str, share: float) -> None:
            heard.append((rule, share))
            thread.stop()

    set_listener(Recording())
    thread = FpirThread(lambda: [small.strangers, other.strangers])
    try:
        thread._run()
    finally:
        set_listener(Listener())
    assert heard == [("threshold", 1.0)]  # the greatest


def test_it_is_measured_again_after_growth_and_warns_when_the_bound_is_crossed(
    gallery: Gallery, few_suffice: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "face128")

    def refreshed() -> tuple[bool, list[str]]:
        """Whether it was measured anew, and what was logged."""
        before = gallery.strangers.latest
        caplog.clear()
        gallery.strangers.refresh(NEVER)
        return gallery.strangers.latest is not before, [one.levelname for one in caplog.records]

    def settled() -> tuple[bool, list[str]]:
        """The same at the second look: at the first, the gallery may be in the middle of an import."""
        assert refreshed() == (False, [])
        return refreshed()

    people = synthetic(34)
    for index, vector in enumerate(people[:30]):
        enrol(gallery, str(index), vector, force=True)
    assert refreshed() == (True, [])
    assert refreshed() == (False, [])
    for index in range(30, 33):
        enrol(gallery, str(index), people[index], force=True)
    assert refreshed() == (False, [])  # three of 30 are a tenth
    enrol(gallery, "like 1", at_distance(people[1], 0.2), force=True)
    assert settled() == (True, ["WARNING"])
    assert gallery.strangers.share is not None
    assert gallery.strangers.share > MAX_STRANGER_SHARE
    for index in range(2, 6):
        enrol(gallery, f"like {index}", at_distance(people[index], 0.2), force=True)
    assert settled() == (True, [])  # once is enough
    for user in ("like 1", "like 2", "like 3", "like 4", "like 5"):
        gallery.erase_user(user)
    assert settled() == (True, ["INFO"])
    assert gallery.strangers.share < MAX_STRANGER_SHARE
    for index in range(33):
        gallery.erase_user(str(index))
    assert settled() == (True, [])
    assert gallery.strangers.latest is None  # nobody is left


def test_a_gallery_that_never_stops_growing_is_measured_now_and_then(
    small: Gallery, few_suffice: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_faces = []
    for index, vector in enumerate(synthetic(40)):
        enrol(small, str(index), vector, force=True)
        monkeypatch.setattr(expected_fpir, "MIN_INTERVAL_S", -1.0 if index == 30 else 600.0)
        small.strangers.refresh(NEVER)
        assert small.strangers.latest is not None
        measured_faces.append(small.strangers.latest.faces)
    assert measured_faces == [1] * 30 + [31] * 10


def test_a_day_later_any_change_counts(small: Gallery, few_suffice: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, vector in enumerate(synthetic(20)):
        enrol(small, str(index), vector, force=True)
    small.strangers.refresh(NEVER)
    before = small.strangers.latest
    monkeypatch.setattr(expected_fpir, "MAX_AGE_S", -1.0)
    small.strangers.refresh(NEVER)
    assert small.strangers.latest is before
    enrol(small, "20", OBAMA, force=True)
    small.strangers.refresh(NEVER)
    assert small.strangers.latest is not before


def test_an_end_of_the_service_ends_it(small: Gallery, few_suffice: None) -> None:
    for index, vector in enumerate(synthetic(20)):
        enrol(small, str(index), vector, force=True)
    stopped = threading.Event()
    stopped.set()
    small.strangers.refresh(stopped)
    assert small.strangers.latest is None
