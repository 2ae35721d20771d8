"""face128 evaluate on Labeled Faces in the Wild, against face_recognition's own descriptors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import face_recognition
import numpy as np
import pytest
from command_line import face128
from lfw import LFW, needs_lfw
from PIL import Image

PAIRS = 12  # of each kind


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first few pairs of each kind."""
    lines = (LFW / "pairs.txt").read_text().splitlines()[1:]
    path = tmp_path_factory.mktemp("lfw") / "pairs.txt"
    path.write_text("\n".join([str(PAIRS), *lines[:PAIRS], *lines[-PAIRS:]]))
    return path


def reference(name: str, number: str) -> np.ndarray:
    """face_recognition's descriptor of the face nearest to the middle."""
    image = face_recognition.load_image_file(LFW / "images" / name / f"{name}_{int(number):04}.jpg")
    boxes = face_recognition.face_locations(image)
    middle = min(boxes, key=lambda box: np.hypot(box[3] + box[1] - 250, box[0] + box[2] - 250))
    return np.array(face_recognition.face_encodings(image, [middle], model="small")[0])


@needs_lfw
def test_exact_figures_are_those_of_face_recognition(pairs: Path) -> None:
    run = face128("evaluate", pairs, LFW / "images", "--json", FACE128_DETECTION="exact")
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    apart: dict[bool, list[float]] = {True: [], False: []}
    for line in pairs.read_text().splitlines()[1:]:
        match line.split("\t"):
            case [name, first, second]:
                apart[True].append(float(np.linalg.norm(reference(name, first) - reference(name, second))))
            case [name, first, other, second]:
                apart[False].append(float(np.linalg.norm(reference(name, first) - reference(other, second))))
    assert (figures["pairs"], figures["left_out"], figures["undetected"]["count"]) == (2 * PAIRS, 0, 0)
    assert figures["pipeline"].startswith("hog-exact/")
    assert [rate["threshold"] for rate in figures["rates"]] == [0.38, 0.5, 0.6]
    for rate in figures["rates"]:
        assert rate["far"] == np.mean(np.array(apart[False]) <= rate["threshold"])
        assert rate["frr"] == pytest.approx(np.mean(np.array(apart[True]) > rate["threshold"]))
    best = max(
        np.mean([*(np.array(apart[True]) <= t), *(np.array(apart[False]) > t)]) for t in np.linspace(0, 2, 20_001)
    )
    assert figures["accuracy"] == pytest.approx(best)


@needs_lfw
def test_photos_without_a_face_and_missing_ones_are_named_and_their_pairs_left_out(pairs: Path, tmp_path: Path) -> None:
    lines = pairs.read_text().splitlines()
    name, number, _ = lines[1].split("\t")
    other, second, _ = lines[3].split("\t")
    for line in lines[1:]:
        for person in (field for field in line.split("\t") if not field.isdecimal()):
            shutil.copytree(LFW / "images" / person, tmp_path / "images" / person, dirs_exist_ok=True)
    blank = tmp_path / "images" / name / f"{name}_{int(number):04}.jpg"
    Image.new("RGB", (250, 250), "white").save(blank)
    missing = tmp_path / "images" / other / f"{other}_{int(second):04}.jpg"
    missing.unlink()
    run = face128("evaluate", pairs, tmp_path / "images", "--json")
    figures = json.loads(run.stdout)
    assert figures["undetected"] == {"count": 1, "photos": [f"{name}/{blank.name}"]}
    assert figures["failed"] == {f"{other}/{missing.name}": "not_found"}
    assert figures["left_out"] >= 2


def test_a_list_that_is_none_is_one_sentence_and_exit_status_2(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("nonsense")
    run = face128("evaluate", tmp_path / "pairs.txt", tmp_path)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
