"""The estimates of audit and calibrate from the enrolled set alone, against brute force over every pair."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import face128
from PIL import Image

from face128.jobs.audit.lenient_reader import UncheckedMembers
from face128.jobs.audit.stranger_risk import StrangerRisk, stranger_risks
from face128.jobs.report.risk_tables import format_alpha, format_threshold
from face128.jobs.wording import percent

FACEAPI = "faceapi-resnet-v1"


def members(count: int, seed: int = 0, photos: int = 1) -> list[dict[str, Any]]:
    """In four dimensions of the 128, so that many come near; every third has several photos, with gaps in between."""
    random, found = np.random.default_rng(seed), []
    for number in range(count):
        centre = np.zeros(128)
        centre[:4] = random.normal(0, 0.5, 4)
        rows = [centre + random.normal(0, 0.02, 128) for _ in range(photos if number % 3 == 0 else 1)]
        found.append({"regNo": f"m{number}", "name": None, "descriptors": [row.tolist() for row in rows]})
        found.append({"regNo": 10_000 + number, "name": None, "descriptor": None})
    return found


def stranger_risk(enrolled: list[dict[str, Any]], **options: Any) -> StrangerRisk:
    (one,) = stranger_risks(UncheckedMembers(json.dumps(enrolled).encode()), **options)
    return one


def nearest_by_brute_force(enrolled: list[dict[str, Any]]) -> list[tuple[str, float, str, float]]:
    """For each descriptor: its member, its weight, the nearest other member, and the distance to them."""
    there = [(one["regNo"], np.array(row)) for one in enrolled for row in one.get("descriptors", [])]
    photos = {name: sum(other == name for other, _ in there) for name, _ in there}
    found = []
    for name, row in there:
        apart, other = min((math.dist(row, other_row), other) for other, other_row in there if other != name)
        found.append((name, 1 / photos[name], other, apart))
    return found


@pytest.mark.parametrize("photos", [1, 3])
def test_expected_shares_and_hubs_are_those_of_brute_force(photos: int) -> None:
    enrolled = members(240, photos=photos)
    expected, found = nearest_by_brute_force(enrolled), stranger_risk(enrolled)
    assert found.member_count == 240
    assert sorted(found.expected_fpir) == [0.38, 0.42, 0.45, 0.5, 0.55, 0.6]
    for threshold, estimate in found.expected_fpir.items():
        share = sum(weight for *_, weight, _, apart in expected if apart <= threshold) / 240
        assert estimate.share == pytest.approx(share)
        assert estimate.low <= share <= estimate.high
    assert 0.1 < found.expected_fpir[0.38].share < 1
    attracted = {name: (0.0, 0.0) for name, *_ in expected}
    for _, weight, other, apart in expected:
        every, within = attracted[other]
        attracted[other] = every + weight, within + weight * (apart <= 0.38)
    counts = [(one.nearest_to, one.within) for one in found.hubs]
    assert [(one.nearest_to, one.within) for one in found.hubs] == [
        pytest.approx(attracted[one.member]) for one in found.hubs
    ]
    most = sorted((every for every, _ in attracted.values() if every >= 3 - 1e-9), reverse=True)[:10]
    assert [every for every, _ in counts] == pytest.approx(most)
    assert len(most) > 2
    assert [apart for *_, apart in expected] == pytest.approx(found.nearest_distances.tolist())


def test_the_recommended_threshold_keeps_the_share_and_a_greater_one_would_not() -> None:
    enrolled = members(240)
    apart = np.sort([one[3] for one in nearest_by_brute_force(enrolled)])
    advice = stranger_risk(enrolled).recommendations[0.01]
    # 1 % of 241 is two: the stranger and the member they resemble. So no member may have another one as near.
    assert advice.threshold == pytest.approx(apart[0])
    assert float(format_threshold(advice)) < apart[0]
    assert (advice.alpha, advice.at_most, advice.tail) == (0.01, 2 / 241, "exact")


@pytest.mark.parametrize(
    ("count", "threshold", "tail"), [(29, False, None), (30, False, "estimate"), (199, True, "estimate")]
)
def test_too_few_members_are_said_to_be_too_few(count: int, threshold: bool, tail: str | None) -> None:
    advice = stranger_risk(members(count)).recommendations[0.01]
    assert (advice.threshold is not None, advice.tail, advice.at_most) == (threshold, tail, None)
    assert (advice.threshold_needs, advice.alpha_needs) == (199, 30)
    assert (format_threshold(advice) == "not enough members to say: it takes 199") is not threshold
    expected = "not enough members to say: it takes 30" if tail is None else "0.01 (an estimate)"
    assert format_alpha(advice) == expected


def test_each_model_has_a_crowd_and_a_member_alone_has_none() -> None:
    pack = [
        {"regNo": i, "model": "insightface-buffalo_l-0123abcd", "descriptor": [float(i), 1.0] * 256}
        for i in range(1, 4)
    ]
    several = [*members(20), *(one for one in pack)]
    found = stranger_risks(UncheckedMembers(json.dumps(several).encode()))
    assert [(one.card.metric, one.member_count) for one in found] == [("euclidean", 20), ("cosine", 3)]
    assert stranger_risks(UncheckedMembers(json.dumps(members(1, photos=3)).encode())) == []
    mixed = [one | {"model": FACEAPI} if i % 4 == 0 else one for i, one in enumerate(members(20))]
    assert stranger_risk(mixed).member_count == 20


def test_a_threshold_of_ones_own_is_among_them() -> None:
    found = stranger_risk(members(60), threshold=0.47)
    assert (found.threshold, 0.47 in found.expected_fpir, 0.38 in found.expected_fpir) == (0.47, True, True)


def test_audit_tells_the_crowd_and_keeps_its_exit_status(tmp_path: Path) -> None:
    far_apart = [
        {"regNo": i, "descriptor": row.tolist()} for i, row in enumerate(np.random.default_rng(0).normal(size=(9, 128)))
    ]
    (tmp_path / "e.json").write_text(json.dumps(far_apart))
    run = face128("audit", tmp_path / "e.json", "--json", "--out", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    (risk,) = json.loads(run.stdout)["crowds"]
    assert risk["members"] == 9
    assert risk["expected_fpir"][0]["threshold"] == 0.38
    assert risk["wanted_fpir"][0]["threshold"] is None
    assert Image.open(tmp_path / "out" / "crowd.png").size[0] > 600
    table = face128("audit", tmp_path / "e.json").stdout
    assert "FPIR" in table
    assert "not enough members" in table


def test_calibrate_makes_a_page_of_the_gallery_alone(tmp_path: Path) -> None:
    hostile = [one | {"regNo": f"<b>{one['regNo']}"} for one in members(240) if "descriptors" in one]
    (tmp_path / "e.json").write_text(json.dumps({"model": "dlib-resnet-v1", "enrolled": hostile}))
    run = face128("calibrate", "--gallery", tmp_path / "e.json", "--out", tmp_path / "page", "--json")
    assert run.returncode == 0, run.stderr
    found = stranger_risk(hostile)
    assert json.loads(run.stdout)["crowds"] == [json.loads(json.dumps(found.to_json()))]
    page = (tmp_path / "page" / "calibration.html").read_text()
    assert page.count("<img") == 1
    assert "$" not in page
    assert "<b>m" not in page
    for outside in ("http://", "https://", 'src="/', "@import"):
        assert outside not in page
    assert percent(found.expected_fpir[0.38].share) in page
    assert format_threshold(found.recommendations[0.01]) in page
    assert f"&lt;b&gt;{found.hubs[0].member[3:]}" in page  # type: ignore[index]
    assert Image.open(tmp_path / "page" / "crowd.png").size[0] > 600


@pytest.mark.parametrize("options", [(), ("--gallery", "none.json"), ("--gallery", "few.json")])
def test_a_calibration_of_nothing_is_one_sentence(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "few.json").write_text(json.dumps(members(1)))
    run = face128("calibrate", *(tmp_path / one if one.endswith(".json") else one for one in options))
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
