"""Turned, dark and tightly cropped photos against the photo as it should be; ordinary photos stay untouched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dlib_truth
import numpy as np
import pytest
from lfw import LFW, needs_lfw
from serving import photo

from benchmarks.difficult_photos import COPIES, try_copies, turned
from face128.domain.adjustments import NOT_ADJUSTED, Adjustments
from face128.engines.base import Face
from face128.engines.dlib.detector import HogDetector
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.photos.photo import RGB, Photo, open_photo

# Upside down, face_recognition finds an upright face in each of these: a descriptor of nobody.
PASSING_UPSIDE_DOWN = (
    "Carla_Del_Ponte/Carla_Del_Ponte_0004.jpg",
    "Cindy_Taylor/Cindy_Taylor_0001.jpg",
    "Gray_Davis/Gray_Davis_0023.jpg",
    "James_Butts/James_Butts_0002.jpg",
    "Richard_Penniman/Richard_Penniman_0001.jpg",
    "Shoshannah_Stern/Shoshannah_Stern_0001.jpg",
    "Yoon_Jeong_Cho/Yoon_Jeong_Cho_0001.jpg",
)


@pytest.fixture(scope="module")
def engine() -> DlibEngine:
    return DlibEngine(find_weights())


@pytest.fixture(scope="module")
def detector() -> HogDetector:
    return HogDetector("fast")


@cache
def pixels(name: str) -> RGB:
    return open_photo(photo(name)).rgb()


@cache
def upright(engine: DlibEngine, name: str) -> tuple[Face, np.ndarray]:
    (face,), descriptors = described(engine, pixels(name))
    return face, descriptors


def described(engine: DlibEngine, rgb: RGB) -> tuple[list[Face], np.ndarray]:
    opened = Photo.from_rgb(np.ascontiguousarray(rgb))
    faces = engine.detect(opened)
    return faces, engine.describe(engine.crop(opened, faces))


@pytest.mark.parametrize("name", dlib_truth.ALL_PHOTOS)
def test_an_ordinary_photo_is_not_adjusted_and_has_the_detectors_own_boxes(
    engine: DlibEngine, detector: HogDetector, name: str
) -> None:
    faces, _ = described(engine, pixels(name))
    assert [face.adjusted for face in faces] == [NOT_ADJUSTED] * len(faces)
    found = detector.find(Photo.from_rgb(pixels(name)))
    assert [face.box for face in faces] == [detection.box for detection in found]


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("name", dlib_truth.ONE_FACE_PHOTOS)
def test_a_turned_photo_has_the_upright_descriptor_and_points_of_its_own(
    engine: DlibEngine, name: str, degrees: int
) -> None:
    face_of_truth, truth = upright(engine, name)
    sent, box = turned(degrees)(pixels(name), face_of_truth.box)
    (face,), descriptors = described(engine, sent)
    # The photo was turned clockwise by ``degrees``; the rest of the full circle brings it back.
    assert face.adjusted == Adjustments(turned=360 - degrees)  # type: ignore[arg-type]
    assert np.linalg.norm(descriptors - truth) < 1e-4
    assert np.abs(np.subtract(face.box, box)).max() <= 1
    corners = [turned(degrees)(pixels(name), (x, y, x, y))[1][:2] for x, y in face_of_truth.landmarks]
    assert np.abs(np.subtract(face.landmarks, corners)).max() <= 1
    assert face.roll_degrees == pytest.approx(face_of_truth.roll_degrees, abs=0.1)


def test_a_photo_above_the_copies_size_is_turned_too(engine: DlibEngine) -> None:
    large = np.repeat(np.repeat(pixels("obama-2009.jpg"), 4, axis=0), 4, axis=1)
    assert large.shape[0] * large.shape[1] > 4_000_000
    (large_face,), truth = described(engine, large)
    (face,), descriptors = described(engine, np.rot90(large))
    assert face.adjusted == Adjustments(turned=90)
    assert np.linalg.norm(descriptors - truth) < 0.1
    expected = [(y, large.shape[1] - 1 - x) for x, y in large_face.landmarks]
    assert np.abs(np.subtract(face.landmarks, expected)).max() <= 0.05 * (large_face.box[2] - large_face.box[0])


@pytest.mark.parametrize("name", dlib_truth.ONE_FACE_PHOTOS)
def test_a_dark_face_is_lightened(engine: DlibEngine, name: str) -> None:
    face_of_truth, truth = upright(engine, name)
    dark, _ = COPIES["dark"](pixels(name), face_of_truth.box)
    (face,), descriptors = described(engine, dark)
    assert face.adjusted == Adjustments(lightened=True)
    assert np.linalg.norm(descriptors - truth) < 0.2


def test_a_dark_face_before_a_bright_window_is_lightened_alone(engine: DlibEngine) -> None:
    name = "obama-2012.jpg"
    face_of_truth, truth = upright(engine, name)
    backlit = pixels(name).copy()
    left, top, right, bottom = face_of_truth.box
    rows, columns = slice(max(0, top - 80), bottom + 80), slice(left - 60, right + 60)
    backlit[rows, columns] = np.round(0.15 * backlit[rows, columns])
    (face,), descriptors = described(engine, backlit)
    assert face.adjusted == Adjustments(lightened=True)
    assert np.linalg.norm(descriptors - truth) < 0.2


def test_a_dark_photo_that_is_turned_is_lightened_and_turned(engine: DlibEngine) -> None:
    face_of_truth, truth = upright(engine, "biden-2010.jpg")
    dark, _ = COPIES["dark"](pixels("biden-2010.jpg"), face_of_truth.box)
    (face,), descriptors = described(engine, np.rot90(dark, 2))
    assert face.adjusted == Adjustments(turned=180, lightened=True)
    assert np.linalg.norm(descriptors - truth) < 0.2


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_face_that_fills_its_photo_is_found_with_a_margin(engine: DlibEngine, degrees: int) -> None:
    with_margin, found = 0, 0
    for name in dlib_truth.ONE_FACE_PHOTOS:
        face_of_truth, truth = upright(engine, name)
        tight, _ = COPIES["box - 10%"](pixels(name), face_of_truth.box)
        faces, descriptors = described(engine, turned(degrees)(tight, (0, 0, 0, 0))[0])
        for face in faces:
            found += 1
            with_margin += face.adjusted.margin_added
            assert (face.adjusted.turned + degrees) % 360 == 0
            assert np.linalg.norm(descriptors[0] - truth[0]) < 0.5
            assert face.box[2] - face.box[0] > 0.8 * min(tight.shape[:2])
    assert found >= 4
    assert with_margin or not degrees


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 900), (300, 300)])
def test_a_photo_without_a_face_has_none(engine: DlibEngine, size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    for rgb in (np.zeros((*size, 3)), np.full((*size, 3), 30), random.integers(0, 40, (*size, 3))):
        assert engine.detect(Photo.from_rgb(rgb.astype(np.uint8))) == []


def test_exact_looks_once() -> None:
    exact = DlibEngine(find_weights(), detection="exact")
    (face,), _ = described(exact, pixels("obama-2012.jpg"))
    assert face.adjusted == NOT_ADJUSTED
    assert described(exact, np.rot90(pixels("obama-2012.jpg")))[0] == []


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (1, 1), (8, 5000), (79, 81)])
def test_photos_of_odd_shapes_are_turned_without_error(engine: DlibEngine, shape: tuple[int, int]) -> None:
    assert engine.detect(Photo.from_rgb(np.full((*shape, 3), 90, np.uint8))) == []


@needs_lfw
@pytest.mark.parametrize("file", PASSING_UPSIDE_DOWN)
def test_an_upside_down_face_never_passes_as_upright(file: str) -> None:
    (outcome,) = try_copies(LFW / "images" / file, ["turned 180"])
    assert outcome.adjusted.turned == 180
    assert outcome.distance is not None
    assert outcome.distance < 0.05


@needs_lfw
def test_faces_of_lfw_that_are_hard_to_find_are_found() -> None:
    # 16 of 1,549 photos.
    names = ("upright", "turned 90", "dark", "dark, 2000 photons", "box - 5%", "box - 10%")
    paths = sorted((LFW / "images").rglob("*.jpg"))[50::100]
    outcomes = [outcome for path in map(Path, paths) for outcome in try_copies(path, names)]
    by_name = {name: [each for each in outcomes if each.copy == name] for name in names}
    missed = {name: sum(each.distance is None for each in some) for name, some in by_name.items()}
    assert missed["upright"] == 0
    assert max(missed.values()) <= 1, missed
    medians = {n: np.median([o.distance for o in some if o.distance is not None]) for n, some in by_name.items()}
    assert medians["upright"] == 0
    assert medians["turned 90"] < 0.05
    assert medians["dark"] < 0.15
    assert not any(each.adjusted.turned for each in by_name["upright"])
