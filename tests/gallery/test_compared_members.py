"""What a threshold and an alpha would do, as a comparison of all with all in float64, one by one, finds it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_truth import cohort_score_by_definition, estimate_by_definition, score_by_definition
from encrypted_galleries import Place
from lfw import LFW, needs_lfw
from people import add_record, at_distance, enrol, synthetic
from threshold_truth import apart, by_definition, enrol_all, kept, people

from benchmarks.lfw_descriptors import describe_faces
from face128.domain.decision_rule import Rule
from face128.domain.descriptors import distances
from face128.domain.model_card import DLIB, RETAIL, pair_card
from face128.gallery.cohort import asking_members
from face128.gallery.cohort.compared_members import ComparedMembers, Interrupted, compare_members
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.stored_space import StoredSpace
from face128.jobs.audit.lenient_reader import UncheckedMembers
from face128.jobs.audit.stranger_risk import stranger_risks
from face128.jobs.calibrate.bootstrap import far_and_frr
from face128.jobs.calibrate.calibrate import measure
from face128.jobs.calibrate.described_photos import DescribedPhotos
from face128.matching.conformal import Cohort
from face128.matching.stranger_estimates import share_of_strangers, with_interval

THRESHOLDS = (0.2, 0.38, 0.42, 0.5, 0.6, 0.7)
ALPHAS = (0.05, 0.1, 0.3)


def compared(gallery: Gallery, card: Any = DLIB, template: Any = "nearest") -> ComparedMembers:
    return compare_members(gallery.database, StoredSpace.of(card), template)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    yield opened
    opened.close()


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_every_threshold_does_what_a_comparison_of_all_with_all_says(small: Gallery, template: Any) -> None:
    photos = people(40)
    enrol_all(small, photos)
    found = compared(small, template=template).effects
    several = sum(len(own) > 1 for own in photos.values())
    assert (found.members, found.asked, found.complete) == (len(photos), len(photos), True)
    assert (found.own_people, found.own_photos) == (several, sum(len(own) for own in photos.values() if len(own) > 1))
    seen = set()
    for threshold in THRESHOLDS:
        members, strangers, refused, mistaken = by_definition(photos, threshold, template == "mean")
        effects = found.by_threshold(threshold)
        assert effects is not None
        assert effects.refused is not None
        assert effects.mistaken is not None
        assert effects.members.share == effects.members.low == effects.members.high == pytest.approx(members)
        assert effects.strangers.share == pytest.approx(strangers)
        assert effects.strangers == share_of_strangers(effects.strangers.share, len(photos))
        assert effects.refused.share == pytest.approx(refused)
        assert effects.mistaken.share == pytest.approx(mistaken)
        assert effects.refused == with_interval(effects.refused.share, several)
        seen |= {members, refused, mistaken}
    assert len(seen) >= 10  # the thresholds differ


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_every_alpha_does_what_the_definition_of_the_cohort_rule_says(small: Gallery, template: Any) -> None:
    """Of one photo each, where it is exact: each member is the probe of a gallery without them."""
    photos = {person: own[:1] for person, own in people(32).items()}
    enrol_all(small, photos)
    found = compared(small, template=template).effects
    vectors, numbers = np.concatenate(list(photos.values())), list(range(len(photos)))
    *_, own_scores = cohort_score_by_definition(vectors, numbers, vectors[0])
    exact, estimate = [], []
    for place, vector in enumerate(vectors):
        near = apart(np.delete(vectors, place, 0), vector) <= DLIB.cohort_cap
        others = [number for number in numbers if number != place]
        _, risk, _ = cohort_score_by_definition(np.delete(vectors, place, 0), others, vector)
        exact.append(risk if near else math.inf)
        distances = np.sqrt(((np.delete(vectors, place, 0).astype(float) - vector) ** 2).sum(axis=1))
        score = score_by_definition(distances.tolist(), vector, len(vectors))
        estimate.append(estimate_by_definition(score, own_scores) if near else math.inf)
    shares = set()
    for tail, risks in (("exact", exact), ("estimate", estimate)):
        for alpha in ALPHAS:
            effects = found.by_cohort(Rule("cohort", alpha, tail))  # type: ignore[arg-type]
            assert effects is not None
            assert effects.members.share == effects.strangers.share == pytest.approx(np.mean(np.array(risks) <= alpha))
            assert effects.refused is effects.mistaken is None  # nobody has a second photo
            shares.add(effects.strangers.share)
    assert len(shares) >= 4


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_own_photos_by_the_cohort_rule_are_those_of_galleries_without_them(
    small: Gallery, tmp_path: Path, template: Any
) -> None:
    """But for the estimate's law, which is that of the whole gallery."""
    photos = people(45)
    enrol_all(small, photos)
    found = compared(small, template=template).effects
    differing = {"exact": 0.0, "estimate": 0.0}
    risks: dict[str, list[float]] = {"exact": [], "estimate": []}
    for person, own in photos.items():
        for place in range(len(own) if len(own) > 1 else 0):
            rest = photos | {person: np.delete(own, place, 0)}
            rows = [kept(rows, template == "mean") for rows in rest.values()]
            vectors, owners = np.concatenate(rows), np.arange(len(rows)).repeat(list(map(len, rows)))
            cohort = Cohort.of(vectors, owners, "euclidean")
            distances_ = distances(vectors, own[place], "euclidean")
            right = list(photos)[owners[distances_.argmin()]] == person and distances_.min() <= DLIB.cohort_cap
            length = float(np.linalg.norm(own[place].astype(float)))
            for tail in risks:
                scored = cohort.score(np.arange(len(vectors)), distances_, length, tail)  # type: ignore[arg-type]
                assert scored is not None
                risks[tail].append(scored.stranger_risk if right else math.inf)
    weights = np.concatenate([np.full(len(own), 1 / len(own)) for own in photos.values() if len(own) > 1])
    for tail, all_risks in risks.items():
        for alpha in ALPHAS:
            effects = found.by_cohort(Rule("cohort", alpha, tail))  # type: ignore[arg-type]
            assert effects is not None
            assert effects.refused is not None
            assert effects.mistaken is not None
            right_share = 1 - effects.refused.share - effects.mistaken.share
            by_truth = float(weights[np.array(all_risks) <= alpha].sum() / weights.sum())
            differing[tail] = max(differing[tail], abs(right_share - by_truth))
    assert differing["exact"] < 1e-9
    assert differing["estimate"] <= 0.02  # one photo of the 50


def test_audit_and_calibrate_say_the_same_of_these_members(small: Gallery) -> None:
    """Of photos by themselves; a photo that is taken for somebody else's is none that calibrate counts as refused."""
    photos = {person: own[:2] for person, own in people(40).items() if not person.startswith("like")}
    enrol_all(small, photos)
    found = compared(small).effects
    listed = [{"regNo": who, "descriptor": row.tolist()} for who, own in photos.items() for row in own]
    (risk,) = stranger_risks(UncheckedMembers(json.dumps({"enrolled": listed}).encode()))
    for threshold, estimate in risk.expected_fpir.items():
        effects = found.by_threshold(threshold)
        assert effects is not None
        assert effects.strangers == estimate
    files = {Path(f"/{who}/{place}.jpg"): row for who, own in photos.items() for place, row in enumerate(own)}
    calibration = measure(DescribedPhotos(DLIB, files, {}))
    for threshold in (0.3, 0.38, 0.45):
        effects = found.by_threshold(threshold)
        assert effects is not None
        assert effects.refused is not None
        assert effects.mistaken is not None
        assert effects.mistaken.share == 0
        frr = far_and_frr(calibration.pairs, [threshold])[1][0]
        assert effects.refused.share == pytest.approx(frr.value)
        assert effects.refused.low < frr.high
        assert effects.refused.high > frr.low


@needs_lfw
def test_real_people(small: Gallery) -> None:
    """As `face128 audit` finds them; and two photos of one person are nearer than most strangers."""
    folders = [folder for folder in sorted((LFW / "images").iterdir()) if len(list(folder.glob("*.jpg"))) > 1][:20]
    files = [file for folder in folders for file in sorted(folder.glob("*.jpg"))[:2]]
    vectors, names = describe_faces(files, "fast")
    photos = {str(name): vectors[names == name].astype(np.float32) for name in sorted(set(names.tolist()))}
    enrol_all(small, photos)
    found = compared(small).effects
    listed = [{"regNo": who, "descriptor": row.tolist()} for who, own in photos.items() for row in own]
    (risk,) = stranger_risks(UncheckedMembers(json.dumps({"enrolled": listed}).encode()))
    assert {threshold: found.by_threshold(threshold).strangers for threshold in risk.expected_fpir} == (  # type: ignore[union-attr]
        risk.expected_fpir
    )
    refused = by_definition(photos, 0.55, mean=False)[2]
    effects = found.by_threshold(0.55)
    assert effects is not None
    assert effects.refused is not None
    assert effects.refused.share == pytest.approx(refused)
    assert refused < 0.3


def test_nearest_pairs_and_hubs_are_those_of_all_pairs(small: Gallery) -> None:
    photos = people(30)
    for index in range(4):  # all nearest to person 5
        photos[f"around 5, {index}"] = (photos["5"][:1] + (0.3 + index / 1000) * np.eye(128)[index]).astype(np.float32)
    enrol_all(small, photos)
    found = compared(small)
    names = {record.face_id: record.person.user_id for page in small.walk(1000) for record in page}
    truth = sorted(
        (min(apart(photos[other], photo) for photo in photos[one]), one, other)
        for one in photos
        for other in photos
        if one < other
    )[: len(found.doorways)]
    assert len(found.doorways) == 10
    for (distance, one, other), doorway in zip(truth, found.doorways, strict=True):
        assert doorway.distance == pytest.approx(distance, abs=1e-12)
        assert {names[doorway.face_id], names[doorway.other_face_id]} == {one, other}
    near_to: dict[str, float] = dict.fromkeys(photos, 0.0)
    for one, own in photos.items():
        for photo in own:
            near_to[min((apart(rows, photo), other) for other, rows in photos.items() if other != one)[1]] += 1 / len(
                own
            )
    assert {names[hub.face_id]: pytest.approx(hub.nearest_to) for hub in found.hubs} == dict(
        sorted(((who, count) for who, count in near_to.items() if count >= 3), key=lambda pair: -pair[1])[:5]
    )
    counts = [hub.nearest_to for hub in found.hubs]
    assert counts == pytest.approx(sorted(counts, reverse=True))
    assert near_to["5"] > 3


def test_a_record_and_a_user_of_its_name_are_one_member(small: Gallery) -> None:
    vectors = synthetic(20)
    for index, vector in enumerate(vectors):
        enrol(small, str(index), vector, f"Name {index}", force=True)
    add_record(small, "Name 3", at_distance(vectors[3], 0.1), force=True)
    found = compared(small)
    assert (found.effects.members, found.faces, found.effects.own_photos) == (20, 21, 2)
    assert found.effects.by_threshold(0.2).members.share == 0  # type: ignore[union-attr]
    assert found.effects.by_threshold(0.2).refused.share == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("decision_models", ["dlib+retail"])
def test_each_space_is_compared_by_itself(tmp_path: Path, decision_models: Any) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models=decision_models)
    random, pair = np.random.default_rng(0), pair_card(DLIB, RETAIL)
    assert pair is not None
    retail = random.normal(size=(12, 256)).astype(np.float32)
    for index, vector in enumerate(synthetic(12)):
        for like in (False, True):  # by dlib near to each other, by retail another face
            companion = retail[(index + 5 * like) % 12]
            face = NewFace(
                at_distance(vector, 0.1 * like), b"%d %d" % (index, like), companions={RETAIL.name: companion}
            )
            gallery.enrol(Person(None, f"{index} {like}"), [face], DLIB, force=True)
    enrol(gallery, "dlib alone", synthetic(13)[12], force=True)
    shares = {}
    for card in gallery.what_if.cards():
        found = compared(gallery, card).effects
        effects = found.by_threshold(card.threshold)
        assert effects is not None
        shares[card.name] = found.members, effects.members.share
    assert list(shares) == [pair.name, RETAIL.name, DLIB.name]
    assert shares[DLIB.name] == (25, pytest.approx(24 / 25))
    assert shares[RETAIL.name] == (24, 1)  # each companion stands twice
    assert shares[pair.name][0] == 24
    gallery.close()


def test_an_encrypted_gallery_and_a_collection(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/gallery.sqlite", f"sqlite:///{tmp_path}/keys.sqlite")
    photos = people(20)
    gallery = place.open(template="mean")
    enrol_all(gallery.of_collection("site"), photos)
    enrol(gallery, "elsewhere", synthetic(1)[0])
    assert compared(gallery).effects.members == 1
    assert compared(gallery).effects.by_threshold(0.38) is None
    found = compared(gallery.of_collection("site"), template="mean").effects
    assert found.by_threshold(0.45).members.share == pytest.approx(by_definition(photos, 0.45, True)[0])  # type: ignore[union-attr]
    gallery.close()


def test_of_many_a_sample_asks_and_its_interval_holds_the_truth(
    small: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = people(100)
    enrol_all(small, photos)
    whole = compared(small, template="mean").effects
    monkeypatch.setattr(asking_members, "MIN_ASKING_PEOPLE", 60)
    monkeypatch.setattr(asking_members, "MAX_OWN_PEOPLE", 40)
    monkeypatch.setattr(asking_members, "MAX_PAIRS", 1)
    monkeypatch.setattr(asking_members, "BLOCK_ROWS", 16)  # the nearest members come in several blocks
    sampled = compared(small, template="mean").effects
    assert (sampled.members, sampled.asked, sampled.complete, sampled.own_people) == (len(photos), 60, False, 40)
    for threshold in (0.38, 0.45, 0.7):
        truth, found = whole.by_threshold(threshold), sampled.by_threshold(threshold)
        assert truth is not None
        assert found is not None
        for name in ("members", "strangers", "refused", "mistaken"):
            interval = getattr(found, name)
            assert interval.low <= getattr(truth, name).share <= interval.high
        assert found.members == share_of_strangers(found.members.share, 60)
        assert found.refused == with_interval(found.refused.share, 40)  # type: ignore[union-attr]
    by_alpha = sampled.by_cohort(Rule("cohort", 0.1, "exact"))
    assert by_alpha is not None
    assert by_alpha.strangers.low <= 0.1 <= by_alpha.strangers.high


def test_photos_of_one_member_in_several_blocks_are_one_member(small: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = people(30)
    enrol_all(small, photos)
    before = compared(small)
    monkeypatch.setattr(asking_members, "BLOCK_ROWS", 7)
    after = compared(small)
    assert after.doorways == before.doorways
    for alpha in ALPHAS:
        for tail in ("exact", "estimate"):
            rule = Rule("cohort", alpha, tail)  # type: ignore[arg-type]
            assert after.effects.by_cohort(rule) == before.effects.by_cohort(rule)


def test_nobody_one_member_and_few(small: Gallery) -> None:
    assert compared(small).effects.by_threshold(0.38) is None
    enrol(small, "1", synthetic(1))
    assert compared(small).effects.by_threshold(0.38) is None
    enrol(small, "1", at_distance(synthetic(1)[0], 0.2))
    assert compared(small).effects.by_threshold(0.38) is None
    enrol(small, "2", synthetic(5)[4], force=True)
    effects = compared(small).effects.by_threshold(0.38)
    assert effects is not None
    assert (effects.members.share, effects.refused) == (0, with_interval(0, 1))
    assert compared(small).effects.by_cohort(Rule("cohort", 0.01)) is None


def test_who_is_erased_meanwhile_is_left_out_and_an_end_interrupts(small: Gallery) -> None:
    photos = people(30)
    enrol_all(small, photos)
    space = StoredSpace.of(DLIB)

    def erase(share: float) -> None:
        if share < 1:
            small.erase_user("7")

    found = compare_members(small.database, space, "nearest", progress=erase)
    assert found.effects.members == len(photos)
    with pytest.raises(Interrupted):
        compare_members(small.database, space, "nearest", pause=lambda seconds: True)
