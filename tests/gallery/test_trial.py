"""A trial of a face, compared with all distances one by one, and with what recognise and match decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from cohort_truth import cohort_score_by_definition
from model_mixtures import Mixtures
from people import Descriptor, add_record, at_distance, enrol, photo_descriptor, synthetic
from several_models import DLIB as DLIB_NAME
from several_models import RETAIL

from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.model_card import DLIB, find_card
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.errors import NoFace, NotReady, TooFewMembers
from face128.gallery import trial
from face128.gallery.cohort.cohort_follower import CohortFollower
from face128.gallery.gallery import Gallery
from face128.gallery.people.retention import Retention
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.trail.reading import page
from face128.gallery.trial import Alternative, Asked, Trial, try_face
from face128.matching.crowd import BIN_WIDTH
from face128.matching.outcome import Decision

OBAMA, BIDEN = photo_descriptor("obama-2012.jpg"), photo_descriptor("biden-2010.jpg")
PEOPLE = 31  # enough for an estimate
Open = Callable[..., Gallery]


@pytest.fixture
def open_gallery(tmp_path: Path) -> Iterator[Open]:
    opened = []

    def of(template: Template = "mean", **options: Any) -> Gallery:
        opened.append(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", template=template, **options))
        return opened[-1]

    yield of
    for gallery in opened:
        gallery.close()


def photos(seed: int = 7) -> dict[str, Descriptor]:
    """By user_id: three photos of every fifth person, and one of the others; two pairs of people who look alike."""
    random = np.random.default_rng(seed)
    faces = synthetic(PEOPLE, seed)
    faces[1], faces[4] = at_distance(faces[2], 0.3), at_distance(faces[7], 0.42)  # on both sides of the threshold
    return {
        str(i): (face + random.normal(0, 0.01, (3 if i % 5 == 0 else 1, 128))).astype(np.float32)
        for i, face in enumerate(faces)
    }


def ask(probe: Descriptor, rule: Rule = THRESHOLD, template: Template = "mean") -> Asked:
    own = Probe.of(DLIB, probe)
    return Asked(own, own, {}, rule, template, "dlib")


def exactly(one: Any, other: Any) -> float:
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(one, other, strict=True)))


def templates_of(everybody: dict[str, Descriptor], template: Template) -> dict[str, list[Any]]:
    if template == "nearest":
        return {user: list(own) for user, own in everybody.items()}
    return {user: [own.astype(np.float64).mean(axis=0)] for user, own in everybody.items()}


@pytest.mark.parametrize("template", get_args(Template))
def test_the_nearest_people_and_the_crowd_are_those_of_all_distances(open_gallery: Open, template: Template) -> None:
    gallery, everybody = open_gallery(template), photos()
    for user_id, own in everybody.items():
        enrol(gallery, user_id, own, f"Name {user_id}", force=True)
    vectors = templates_of(everybody, template)
    probe = (everybody["5"][0] + np.random.default_rng(1).normal(0, 0.02, 128)).astype(np.float32)

    def nearest(of: Any, but: str | None = None) -> list[tuple[float, str]]:
        return sorted((min(exactly(of, v) for v in own), user) for user, own in vectors.items() if user != but)

    found = try_face(gallery, ask(probe, template=template))
    assert [each.user_id for each in found.people] == [user for _, user in nearest(probe)[:5]]
    assert [each.distance for each in found.people] == pytest.approx([d for d, _ in nearest(probe)[:5]], abs=1e-12)
    assert {(each.threshold, each.model) for each in found.people} == {(0.38, DLIB.name)}
    assert [each.name for each in found.people] == [f"Name {each.user_id}" for each in found.people]
    assert found.faces == sum(map(len, everybody.values()))

    others = {user: [nearest(v, user)[0][0] for v in own] for user, own in vectors.items()}
    crowd = found.crowd
    assert crowd is not None
    assert crowd.people == PEOPLE
    for i, share in enumerate(crowd.shares):
        inside = [sum(i <= d / BIN_WIDTH < i + 1 for d in own) / len(own) for own in others.values()]
        assert share == pytest.approx(sum(inside) / PEOPLE, abs=1e-9)
    within = [sum(d <= 0.38 for d in own) / len(own) for own in others.values()]
    assert crowd.within.share > 0
    assert crowd.within.share == pytest.approx(sum(within) / PEOPLE, abs=1e-9)
    assert sum(crowd.shares) == pytest.approx(1)
    people = [int(user) for user, own in vectors.items() for _ in own]
    score, risk, _ = cohort_score_by_definition(np.array([v for own in vectors.values() for v in own]), people, probe)
    assert isinstance(found.outcome, Decision)
    told = found.outcome.cohort_score
    assert told is not None
    assert (told.score, told.tail) == (pytest.approx(score), "estimate")
    exact = try_face(gallery, ask(probe, Rule("threshold", tail="exact"), template)).outcome
    assert isinstance(exact, Decision)
    assert exact.cohort_score is not None
    assert exact.cohort_score.stranger_risk == pytest.approx(risk)


def test_the_crowd_follows_who_comes_and_who_goes(open_gallery: Open, tmp_path: Path) -> None:
    gallery, everybody = open_gallery(), photos()
    for user_id, own in everybody.items():
        enrol(gallery, user_id, own, force=True)
    assert gallery.cohort(DLIB) is None, "nobody has been compared"
    before = try_face(gallery, ask(OBAMA)).crowd
    enrol(gallery, "twin", at_distance(everybody["4"][0], 0.1), force=True)
    members = gallery.cohort(DLIB)
    assert members is not None
    assert members.member_count == PEOPLE + 1
    kept = members.neighbour_distances.copy()
    gallery.erase_user("3")
    after = try_face(gallery, ask(OBAMA)).crowd
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", template="mean")) as anew:
        assert try_face(anew, ask(OBAMA)).crowd == after
    assert np.array_equal(members.neighbour_distances, kept), "it is a copy"
    assert before is not None
    assert after is not None
    assert before.people == after.people == PEOPLE
    assert after.within.share == pytest.approx(before.within.share + 2 / PEOPLE)


def outcomes(found: Trial) -> dict[tuple[str, str], Any]:
    return {(each.setting, each.value): each.outcome for each in found.alternatives}


@pytest.mark.parametrize("rule", [THRESHOLD, Rule("cohort", 0.1), Rule("threshold", 0.01, "auto", 0.5)])
def test_each_decision_is_that_of_recognise_and_match(open_gallery: Open, rule: Rule) -> None:
    gallery, everybody = open_gallery(), photos()
    for user_id, own in everybody.items():
        enrol(gallery, user_id, own, force=True)
    by_nearest = open_gallery("nearest")
    random = np.random.default_rng(2)
    verdicts = set()
    for spread in (0.01, 0.04, 0.05, 0.1):
        probe = (everybody["10"][0] + random.normal(0, spread, 128)).astype(np.float32)
        found, own_probe = try_face(gallery, ask(probe, rule)), Probe.of(DLIB, probe)
        assert found.outcome == gallery.recognise(own_probe, 0, rule=rule, explain=True)[0]
        others = outcomes(found)
        assert others.keys() == {("rule", "threshold" if rule.name == "cohort" else "cohort"), ("template", "nearest")}
        other = Rule("threshold" if rule.name == "cohort" else "cohort", rule.alpha, rule.tail, rule.review_alpha)
        told = others["rule", other.name]
        expected = gallery.recognise(own_probe, 0, rule=other, explain=True)[0]
        assert (told.verdict, told.nearest, told.threshold) == (expected.verdict, expected.nearest, expected.threshold)
        told = others["template", "nearest"]
        expected = by_nearest.recognise(own_probe, 0, rule=rule, explain=True)[0]
        assert (told.verdict, told.nearest, told.threshold) == (expected.verdict, expected.nearest, expected.threshold)
        assert isinstance(found.outcome, Decision)
        verdicts.add(found.outcome.verdict)
    assert len(verdicts) > 1, "the probes are too much alike to see a difference"


def test_the_other_networks_decide_as_if_the_settings_named_them(open_gallery: Open) -> None:
    mixtures = Mixtures(0)

    def face(person: int, photo: int) -> dict[str, Any]:
        return {name: np.array(own, np.float32) for name, own in mixtures.face(person, photo).items()}

    def probe_of(by_model: dict[str, Any]) -> Probe:
        return Probe(tuple((card, by_model[name]) for name in by_model if (card := find_card(name))), by_model=True)

    galleries: dict[Any, Gallery] = {order: open_gallery(decision_models=order) for order in get_args(DecisionModels)}
    for person in range(12):
        by_model = face(person, 0)
        own, other = by_model[DLIB_NAME], {RETAIL: by_model[RETAIL]}
        new = NewFace(own, own.tobytes(), companions=other if person % 4 else {})
        galleries["dlib"].enrol(Person(f"Name {person}", str(person)), [new], DLIB, force=True)
    for person in (1, 4):
        by_model = {name: own for name, own in face(person, 1).items() if name in (DLIB_NAME, RETAIL)}
        for order, gallery in galleries.items():
            alone = Probe.of(DLIB, by_model[DLIB_NAME])
            both = probe_of(by_model)
            asked = Asked(alone if order == "dlib" else both, both, {}, THRESHOLD, "mean", order)
            found = try_face(gallery, asked)
            told = outcomes(found)
            assert {value for setting, value in told if setting == "models"} == galleries.keys() - {order}
            for other_order, decided in (
                (value, told[setting, value]) for setting, value in told if setting == "models"
            ):
                expected = galleries[other_order].recognise(both, 0)[0]
                assert (decided.verdict, decided.nearest, decided.model) == (
                    expected.verdict,
                    expected.nearest,
                    expected.model,
                )
            multiples = [each.distance / each.threshold for each in found.people]
            assert multiples == sorted(multiples)


def test_another_engine_decides_by_its_own_probe_or_says_what_is_wrong(open_gallery: Open) -> None:
    gallery = open_gallery()
    enrol(gallery, "1", OBAMA, "Barack")
    own, far = Probe.of(DLIB, OBAMA), Probe.of(DLIB, at_distance(OBAMA, 0.39))
    no_face = NoFace()
    found = try_face(gallery, Asked(own, own, {"faceapi": far, "insightface": no_face}, THRESHOLD, "mean", "dlib"))
    told = outcomes(found)
    assert told["engine", "faceapi"].verdict == "no"
    assert told["engine", "faceapi"].distance == pytest.approx(0.39, abs=1e-6)
    assert told["engine", "insightface"] is no_face


def test_records_of_one_name_are_one_person_and_are_shown_once(open_gallery: Open) -> None:
    gallery = open_gallery("nearest")
    add_record(gallery, "Ann", OBAMA)
    add_record(gallery, "Ann", at_distance(OBAMA, 0.1))
    add_record(gallery, "Ben", BIDEN)
    found = try_face(gallery, ask(OBAMA, template="nearest"))
    assert [each.name for each in found.people] == ["Ann", "Ben"]
    assert found.crowd is None, "two people say nothing about strangers"


def test_an_empty_gallery_and_one_with_too_few_members_for_the_rule_say_so(open_gallery: Open) -> None:
    gallery = open_gallery()
    found = try_face(gallery, ask(OBAMA))
    assert (found.faces, found.people, found.alternatives, found.crowd) == (0, (), (), None)
    assert isinstance(found.outcome, Decision)
    assert (found.outcome.nearest, found.outcome.verdict) == (None, "no")
    enrol(gallery, "1", OBAMA)
    found = try_face(gallery, ask(OBAMA, Rule("cohort", 0.01)))
    assert isinstance(found.outcome, TooFewMembers)
    assert (found.threshold, found.people[0].user_id) == (0.6, "1")
    assert outcomes(found)["rule", "threshold"].verdict == "yes"
    assert isinstance(outcomes(found)["template", "nearest"], TooFewMembers)


def test_in_a_large_gallery_only_the_other_rule_is_asked(open_gallery: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = open_gallery()
    for user_id, own in photos().items():
        enrol(gallery, user_id, own, force=True)
    monkeypatch.setattr(trial, "LARGE_GALLERY_FACES", PEOPLE)
    assert gallery.build_cohorts(60)
    assert outcomes(try_face(gallery, ask(OBAMA))).keys() == {("rule", "cohort")}


def test_a_large_gallery_that_is_being_compared_is_not_waited_for(
    open_gallery: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = open_gallery()
    for user_id, own in photos().items():
        enrol(gallery, user_id, own, force=True)
    monkeypatch.setattr(trial, "LARGE_GALLERY_FACES", PEOPLE)
    monkeypatch.setattr(CohortFollower, "_run_build", lambda *_: None)  # it takes for ever
    found = try_face(gallery, ask(OBAMA))
    assert isinstance(found.outcome, Decision)
    assert found.outcome == gallery.match(Probe.of(DLIB, OBAMA))
    assert found.outcome.cohort_score is None
    assert found.crowd is None
    assert isinstance(outcomes(found)["rule", "cohort"], NotReady)
    assert len(found.people) == 5


def test_what_is_asked_too_late_is_not_asked(open_gallery: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = open_gallery()
    enrol(gallery, "1", OBAMA)
    monkeypatch.setattr(trial, "TIME_LIMIT_S", -1.0)
    found = try_face(gallery, ask(OBAMA))
    assert isinstance(found.outcome, Decision)
    assert [each for each in found.alternatives if isinstance(each.outcome, Decision)] == []
    assert {each.outcome.code for each in found.alternatives if isinstance(each, Alternative)} == {"not_ready"}


def test_nothing_is_kept_as_a_decision_and_the_trail_has_who_was_shown(tmp_path: Path) -> None:
    keeping = Retention(decision_days=30)
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", retention=keeping, trail=True)) as gallery:
        enrol(gallery, "1", OBAMA, "Barack")
        enrol(gallery, "2", BIDEN, "Joe")
        for probe, verdict in ((OBAMA, "yes"), (at_distance(OBAMA, 0.45), "no")):
            before = {user: entries(gallery, user) for user in ("1", "2")}
            found = try_face(gallery, ask(probe))
            assert isinstance(found.outcome, Decision)
            assert found.outcome.verdict == verdict
            new = {user: entries(gallery, user)[len(before[user]) :] for user in before}
            own = ("match", "yes") if verdict == "yes" else ("read", "ok")
            assert new == {"1": [own], "2": [("read", "ok")]}
        searches = [entry for entry in all_entries(gallery) if entry.action == "match"]
        assert [(entry.result, entry.details) for entry in searches] == [
            ("yes", '{"trial":true}'),
            ("no", '{"trial":true}'),
        ]
        for number, face in enumerate(synthetic(6, 9)):
            enrol(gallery, f"far {number}", face, force=True)
        enrol(gallery, "1029", at_distance(OBAMA, 3), is_number=True)
        own, far = Probe.of(DLIB, OBAMA), Probe.of(DLIB, at_distance(OBAMA, 3))
        found = try_face(gallery, Asked(own, own, {"faceapi": far}, THRESHOLD, "mean", "dlib"))
        assert "1029" not in [each.user_id for each in found.people]
        assert entries(gallery, "1029")[-1] == ("read", "ok"), "the answer of another engine names them"
        assert gallery.accounts.decisions(10) == []


def all_entries(gallery: Gallery, person: str | None = None) -> list[Any]:
    with gallery.database.reading() as connection:
        return page(connection, 100, person=person)[::-1]


def entries(gallery: Gallery, user_id: str) -> list[tuple[str, str]]:
    return [(entry.action, entry.result) for entry in all_entries(gallery, user_id) if entry.person != "*"]
