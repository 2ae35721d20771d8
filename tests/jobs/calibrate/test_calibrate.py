"""face128 calibrate, against face_recognition, against brute force, and against what intervals promise."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import face_recognition
import numpy as np
import pytest
from command_line import face128
from lfw import LFW, needs_lfw
from PIL import Image

from face128.jobs.calibrate.bootstrap import (
    MIN_ACCEPTED_PEOPLE,
    RateEstimate,
    accuracy,
    far_and_frr,
    threshold_for_far,
)
from face128.jobs.calibrate.calibrate import counted_risk
from face128.jobs.calibrate.photo_pairs import PhotoPairs, pair_photos


def population(people: int, photos: int = 3, seed: int = 0) -> PhotoPairs:
    """People around whom their photos lie; distances overlap, so that every rate is strictly between 0 and 1."""
    draw = np.random.default_rng(seed)
    described = {}
    for person in range(people):
        centre = draw.normal(size=16)
        for photo in range(photos):
            described[Path(f"{person:04}/{photo}.jpg")] = (centre + draw.normal(size=16) * 0.6).astype(np.float32)
    return pair_photos(described, "euclidean")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people of LFW with two or three photos each."""
    root = tmp_path_factory.mktemp("people")
    chosen = [person for person in sorted((LFW / "images").iterdir()) if len(list(person.iterdir())) in (2, 3)][:6]
    for person in chosen:
        (root / person.name).symlink_to(person)
    return root


@needs_lfw
def test_figures_are_those_of_face_recognition(folder: Path, tmp_path: Path) -> None:
    run = face128("calibrate", folder, "--out", tmp_path / "page", "--json", FACE128_DETECTION="exact")
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    described = {}
    for photo in sorted(folder.glob("*/*")):
        image = face_recognition.load_image_file(photo)
        boxes = face_recognition.face_locations(image)
        if boxes:
            middle = min(boxes, key=lambda box: np.hypot(box[3] + box[1] - 250, box[0] + box[2] - 250))
            described[photo] = face_recognition.face_encodings(image, [middle], model="small")[0]
    same, others = [], []
    for a, b in combinations(described, 2):
        apart = np.linalg.norm(described[a] - described[b])
        (same if a.parent == b.parent else others).append(apart)
    assert (answer["genuine_pairs"], answer["impostor_pairs"]) == (len(same), len(others))
    for point in answer["curve"][::7]:
        t = point["threshold"] + 1e-6  # what separates ONNX Runtime from dlib
        assert np.mean(np.array(others) <= t - 2e-6) <= point["far"]["value"] <= np.mean(np.array(others) <= t)
        assert np.mean(np.array(same) > t) <= point["frr"]["value"] + 1e-9
        assert point["frr"]["value"] <= np.mean(np.array(same) > t - 2e-6) + 1e-9
    assert answer["at_threshold"]["threshold"] == 0.38
    assert answer["most_like"][0]["distance"] == pytest.approx(min(others), abs=1e-5)
    assert answer["least_like"][0]["distance"] == pytest.approx(max(same), abs=1e-5)
    assert set(answer["threshold_for_far"].values()) == {None}, "six people cannot say"
    page = (tmp_path / "page" / "calibration.html").read_text()
    assert "not enough people to say" in page
    assert "$" not in page
    for outside in ("http://", "https://", 'src="/', "@import"):
        assert outside not in page
    for name in ("distances", "rates", "det", "growth"):
        assert Image.open(tmp_path / "page" / f"{name}.png").size[0] > 600


@needs_lfw
def test_a_list_of_pairs_measures_those_pairs_alone(tmp_path: Path) -> None:
    lines = (LFW / "pairs.txt").read_text().splitlines()
    (tmp_path / "pairs.txt").write_text("\n".join(["5", *lines[1:6], *lines[-5:]]))
    run = face128("calibrate", LFW / "images", "--pairs", tmp_path / "pairs.txt", "--json")
    answer = json.loads(run.stdout)
    assert (answer["genuine_pairs"], answer["impostor_pairs"]) == (5, 5)


def test_a_folder_without_people_is_one_sentence(tmp_path: Path) -> None:
    run = face128("calibrate", tmp_path)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1


def test_rates_are_the_shares_that_brute_force_counts() -> None:
    people = population(12)
    thresholds = [2.0, 3.0, 4.0, 5.0]
    far, frr = far_and_frr(people, thresholds)
    for i, threshold in enumerate(thresholds):
        assert far[i].value == pytest.approx(np.mean(people.distances[~people.genuine] <= threshold))
        assert frr[i].value == pytest.approx(np.mean(people.distances[people.genuine] > threshold))
        assert far[i].low <= far[i].value <= far[i].high


def test_ninety_five_per_cent_intervals_hold_the_truth_about_that_often() -> None:
    threshold = 4.4
    truth = far_and_frr(population(300, seed=999), [threshold])[0][0].value
    intervals = [far_and_frr(population(40, seed=seed), [threshold])[0][0] for seed in range(60)]
    held = sum(rate.low <= truth <= rate.high for rate in intervals)
    assert held >= 50  # pairs taken for independent would hold it far less often
    naive = [1.96 * math.sqrt(rate.value * (1 - rate.value) / (120 * 117 / 2)) for rate in intervals]
    assert sum(abs(rate.value - truth) <= n for rate, n in zip(intervals, naive, strict=True)) < 40


def test_a_rate_of_zero_has_an_interval_too() -> None:
    far: RateEstimate = far_and_frr(population(12), [0.1])[0][0]
    assert far.value == 0
    assert far.high == pytest.approx(1 - 0.05 ** (1 / 6))
    frr = far_and_frr(population(12), [50.0])[1][0]
    assert frr.value == 0
    assert frr.high == pytest.approx(1 - 0.05 ** (1 / 12))


def test_a_rate_of_one_has_an_interval_too() -> None:
    far, frr = far_and_frr(population(12), [0.0, 50.0])
    assert (far[1].value, frr[0].value) == (1, 1)
    assert far[1].low == pytest.approx(0.05 ** (1 / 6))
    assert frr[0].low == pytest.approx(0.05 ** (1 / 12))
    assert accuracy(population(12), 50.0).high < 1
    everything_right = replace(population(12), genuine=np.ones(len(population(12).genuine), bool))
    assert accuracy(everything_right, 50.0).low == pytest.approx(0.05 ** (1 / 6))


def test_no_end_exceeds_that_of_a_looser_threshold() -> None:
    far, frr = far_and_frr(population(12), np.linspace(0.0, 50, 600).tolist())
    for ends in ([(rate.low, rate.high) for rate in far], [(rate.low, rate.high) for rate in reversed(frr)]):
        for end in zip(*ends, strict=True):
            assert list(end) == sorted(end)


def test_the_threshold_for_a_far_is_the_greatest_that_keeps_it() -> None:
    people = population(60)
    others = people.distances[~people.genuine]
    threshold = threshold_for_far(people, 0.01)
    assert threshold is not None
    assert np.mean(others <= threshold) <= 0.01 < np.mean(others <= np.sort(others)[int(0.01 * len(others))])
    assert threshold >= np.sort(others)[int(0.01 * len(others)) - 1]


def test_too_few_people_say_nothing_about_a_small_far() -> None:
    assert threshold_for_far(population(MIN_ACCEPTED_PEOPLE - 1), 0.2) is None
    assert threshold_for_far(population(40), 0.0001) is None


def test_the_growth_is_what_drawing_members_at_random_gives() -> None:
    neighbours, others, enrolled = np.array([0, 1, 5, 20]), 30, 8
    draw = random.Random(3)
    hits = [
        np.mean([min(draw.sample(range(others), enrolled)) < k for _ in range(20_000)]) for k in neighbours.tolist()
    ]
    assert counted_risk(neighbours, others, enrolled) == pytest.approx(np.mean(hits), abs=0.01)
    assert counted_risk(np.array([0, 1]), others, others) == 0.5
