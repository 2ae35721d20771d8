"""In a large gallery a sample of its people estimates what a score is worth, until all are compared, or for good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from people import add_record, at_distance, enrol, photo_descriptor, space_search, synthetic

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.engines.fake import FAKE
from face128.errors import NotReady, TooFewMembers, TooLarge
from face128.gallery.cohort import cohort_follower, sampled_tail
from face128.gallery.cohort.cohort_follower import CohortFollower
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.storage.tables import faces
from face128.matching.conformal import Cohort, CohortScore
from face128.matching.tails import STANDARD_QUARTILES

OBAMA, BIDEN = photo_descriptor("obama-2012.jpg"), photo_descriptor("biden-2010.jpg")
AUTO, EXACT, ESTIMATE = (Rule("cohort", 0.05, tail) for tail in ("auto", "exact", "estimate"))
WAIT_S = 60.0


def score(gallery: Gallery, probe: Any, rule: Rule = AUTO, template: Template = "nearest") -> CohortScore | None:
    return gallery.match(Probe.of(DLIB, probe), rule=rule, template=template, explain=True).cohort_score


def sample(gallery: Gallery, template: Template = "nearest") -> sampled_tail.SampledTail | None:
    return space_search(gallery).cohort(template)._sample


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def fill(gallery: Gallery, people: int, seed: int = 0) -> None:
    """Users with one to three photos, of whom some are also records by their name, and some have a namesake."""
    for index, vector in enumerate(synthetic(people, seed)):
        photos = [vector, *(at_distance(vector, 0.1 * extra) for extra in range(1, 1 + index % 3))]
        enrol(gallery, f"{seed} {index}", photos, f"Name {index}", force=True)
        if index % 5 == 0:
            add_record(gallery, f"Name {index}", at_distance(vector, 0.05), force=True)
        if index % 10 == 0:
            enrol(gallery, f"{seed} {index} too", at_distance(vector, 0.2), f"Name {index}", force=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is taken of few faces already, and there are too many to compare all."""
    monkeypatch.setattr(cohort_follower, "MIN_SAMPLED_FACES", 20)
    monkeypatch.setattr(cohort_follower, "MAX_COHORT_FACES", 30)
    monkeypatch.setattr(cohort_follower, "BUILD_TIMEOUT_S", WAIT_S)


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_a_sample_of_everybody_says_what_the_whole_cohort_says(
    small: Gallery, template: Template, monkeypatch: pytest.MonkeyPatch, sampled: None
) -> None:
    fill(small, 60)
    probes = [*(synthetic(60)[:8] + np.random.default_rng(1).normal(0, 0.03, (8, 128))), *synthetic(8, seed=9)]
    by_sample = [score(small, probe, AUTO, template) for probe in probes]
    of_sample = sample(small, template)
    assert of_sample is not None
    assert of_sample.people == 60
    monkeypatch.setattr(cohort_follower, "MAX_COHORT_FACES", 1000)
    assert score(small, OBAMA, EXACT, template) is not None
    assert sample(small, template) is None
    for probe, estimated in zip(probes, by_sample, strict=True):
        whole = score(small, probe, ESTIMATE, template)
        assert estimated is not None
        assert whole is not None
        assert estimated.tail == whole.tail == "estimate"
        assert estimated.score == pytest.approx(whole.score, abs=1e-12)
        # Each person counts with one of their photos here, and there with all.
        assert estimated.stranger_risk == pytest.approx(whole.stranger_risk, abs=0.1)


def test_the_quartiles_of_a_sample_are_close_to_those_of_all(
    small: Gallery, monkeypatch: pytest.MonkeyPatch, sampled: None
) -> None:
    monkeypatch.setattr(sampled_tail, "SAMPLE_PEOPLE", 300)
    vectors = synthetic(900)
    person, hashes = Person("Somebody", "0"), iter(range(900))
    with small.database.writing() as connection:
        rows = [
            NewFace(vector, bytes(str(next(hashes)), "ascii")).table_row(person, DLIB, 1) | {"user_id": str(index)}
            for index, vector in enumerate(vectors)
        ]
        rows = [row | {"record_id": f"record {index}"} for index, row in enumerate(rows)]
        connection.execute(sa.insert(faces), rows)
        connection.execute(sa.text("UPDATE state SET version = version + 1"))
    assert score(small, OBAMA) is not None
    of_sample = sample(small)
    assert of_sample is not None
    assert of_sample.people == 900
    cohort = Cohort.of(vectors, np.arange(900), "euclidean")
    quartiles = of_sample.law.location + of_sample.law.scale * np.array(STANDARD_QUARTILES)
    for quartile, wanted in zip(quartiles, (0.25, 0.75), strict=True):
        assert np.mean(np.log(cohort.scores) <= quartile) == pytest.approx(wanted, abs=0.08)


def test_the_people_of_a_sample_are_spread_over_the_gallery_whatever_their_number_of_photos() -> None:
    counts = np.where(np.arange(4000) < 2000, 1, 4)
    ids = np.arange(counts.sum()) + 1
    empty = np.empty(0, np.int64)
    changes = sampled_tail.TemplateChanges(empty, np.arange(4000) * 7919, np.full(4000, "dlib"), counts, ids)
    for template in ("nearest", "mean"):
        people, rows = sampled_tail._chosen_rows(changes, template)
        chosen = [(key // 7919, own) for key, _, own in rows]
        assert people == 4000
        assert len({key for key, _ in chosen}) == sampled_tail.SAMPLE_PEOPLE
        assert sum(key < 2000 for key, _ in chosen) == pytest.approx(500, abs=60)
        first_ids = ids[counts.cumsum() - counts]
        for key, own in chosen:
            of_person = range(first_ids[key], first_ids[key] + counts[key])
            assert own.tolist() == list(of_person) if template == "mean" else own.item() in of_person
        if template == "nearest":
            photos = [own.item() - first_ids[key] for key, own in chosen if key >= 2000]
            assert (np.bincount(photos, minlength=4) > 30).all()  # not always a person's first


def test_an_estimate_answers_until_all_are_compared(
    small: Gallery, monkeypatch: pytest.MonkeyPatch, sampled: None
) -> None:
    monkeypatch.setattr(cohort_follower, "MAX_COHORT_FACES", 1000)
    may_go_on, build_graph = Event(), CohortFollower._build_graph

    def held_up(self: CohortFollower) -> None:
        assert may_go_on.wait(WAIT_S)
        build_graph(self)

    monkeypatch.setattr(CohortFollower, "_build_graph", held_up)
    fill(small, 45)
    try:
        for rule in (AUTO, ESTIMATE, THRESHOLD):
            assert (answered := score(small, OBAMA, rule)) is not None
            assert (answered.tail, answered.sampled) == ("estimate", True)
        explained = small.match(Probe.of(DLIB, OBAMA), rule=AUTO).answer(explain=True)
        assert explained["decision"] == {"rule": "cohort", "alpha": 0.05, "tail": "estimate", "sampled": True}
        assert small.build_cohorts(WAIT_S, "auto")
        assert not small.build_cohorts(0.01, "exact")
        monkeypatch.setattr(cohort_follower, "BUILD_TIMEOUT_S", 0.01)
        with pytest.raises(NotReady):
            small.match(Probe.of(DLIB, OBAMA), rule=EXACT)
        # What is enrolled now is found now.
        enrol(small, "me", OBAMA, "Me", force=True)
        decided = small.match(Probe.of(DLIB, OBAMA + 0.001), rule=AUTO)
        assert (decided.matched, decided.nearest and decided.nearest.reg_no) == (True, "me")
        small.erase_user("me")
        assert not small.match(Probe.of(DLIB, OBAMA + 0.001), rule=AUTO).matched
    finally:
        may_go_on.set()
    assert small.build_cohorts(WAIT_S, "exact")
    assert sample(small) is None
    for rule, tail in ((AUTO, "exact"), (EXACT, "exact"), (ESTIMATE, "estimate")):
        assert (answered := score(small, OBAMA, rule)) is not None
        assert (answered.tail, answered.sampled) == (tail, False)


def test_among_too_many_for_a_cohort_only_the_exact_tail_is_refused(small: Gallery, sampled: None) -> None:
    fill(small, 31)
    for rule in (AUTO, ESTIMATE, THRESHOLD):
        assert (answered := score(small, OBAMA, rule)) is not None
        assert answered.tail == "estimate"
    with pytest.raises(TooLarge):
        small.match(Probe.of(DLIB, OBAMA), rule=EXACT)
    assert score(small, OBAMA) is not None  # also after that
    with pytest.raises(TooLarge):
        small.build_cohorts(WAIT_S, "exact")
    # The other space has too few members; the sample is of one space.
    card_faces = [NewFace(row, row.tobytes()) for row in synthetic(3, seed=5)]
    small.enrol(Person(None, "other"), card_faces, FAKE, force=True)
    with pytest.raises(TooFewMembers):
        small.match(Probe.of(FAKE, OBAMA), rule=AUTO)


def test_few_people_with_many_faces_are_no_sample(small: Gallery, sampled: None) -> None:
    for index, vector in enumerate(synthetic(20)):
        enrol(small, str(index), [vector, at_distance(vector, 0.1)], force=True)
    with pytest.raises(TooLarge):
        small.match(Probe.of(DLIB, OBAMA), rule=AUTO)


def test_after_changes_of_a_tenth_the_sample_is_taken_anew(gallery: Gallery, sampled: None) -> None:
    for index, vector in enumerate(synthetic(40)):
        enrol(gallery, str(index), vector, force=True)
    assert score(gallery, OBAMA) is not None
    first = sample(gallery)
    assert first is not None
    for index, vector in enumerate(synthetic(3, seed=3)):
        enrol(gallery, f"new {index}", vector, force=True)
        assert score(gallery, OBAMA) is not None
    gallery.erase_user("3")
    assert score(gallery, OBAMA) is not None
    assert sample(gallery) is first  # four changes of 40
    gallery.erase_user("4")
    assert score(gallery, OBAMA) is not None  # the old one answers meanwhile
    wait_until(lambda: sample(gallery) is not first)
    second = sample(gallery)
    assert second is not None
    assert (second.people, second.faces) == (41, 41)


def test_a_sample_that_cannot_be_taken_leaves_the_whole_cohort(
    small: Gallery, monkeypatch: pytest.MonkeyPatch, sampled: None
) -> None:
    monkeypatch.setattr(cohort_follower, "MAX_COHORT_FACES", 1000)
    monkeypatch.setattr(sampled_tail, "_vector", lambda *_: 1 / 0)
    fill(small, 40)
    assert (answered := score(small, OBAMA)) is not None
    assert answered.tail == "exact"


def test_scores_that_show_no_law_let_nobody_in(small: Gallery, sampled: None) -> None:
    for index in range(40):  # all alike
        enrol(small, str(index), BIDEN, force=True)
    assert (answered := score(small, OBAMA)) is not None
    assert answered.stranger_risk == 1.0
    of_sample = sample(small)
    assert of_sample is not None
    assert np.isnan(of_sample.law.scale)


def test_people_who_are_erased_while_a_sample_is_taken_are_left_out(
    small: Gallery, monkeypatch: pytest.MonkeyPatch, sampled: None
) -> None:
    for index, vector in enumerate(synthetic(50)):
        enrol(small, str(index), vector, force=True)
    read, erased = sampled_tail._vector, iter(["7", "8", "9"])

    def vector_and_erase(*asked: Any) -> Any:
        if (user := next(erased, None)) is not None:
            small.erase_user(user)
        return read(*asked)

    monkeypatch.setattr(sampled_tail, "_vector", vector_and_erase)
    assert (answered := score(small, OBAMA)) is not None
    assert answered.tail == "estimate"
