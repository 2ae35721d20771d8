"""The measures of a photo's quality: against known copies, between the engines, and on the edge of what is possible."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import dlib_truth
import faceapi_truth
import insight_packs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import photo

from benchmarks import degrading
from face128.encoding.quality_measures import Measures, measure
from face128.engines.base import Engine, Face
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.engines.insightface.engine import InsightfaceEngine
from face128.photos.codecs import RGB
from face128.photos.photo import Photo, open_photo

DLIB_LANDMARKS: dict[str, Any] = {"eye_landmarks": ((2, 4), (0, 2)), "nose_landmark": (4, "subnasale")}
PORTRAIT = faceapi_truth.fixture_pixels("obama-2012.jpg")


@pytest.fixture(scope="module")
def dlib_engine() -> DlibEngine:
    return DlibEngine(find_weights())


@pytest.fixture(scope="module", params=["dlib", "faceapi", "insightface"])
def engine(request: pytest.FixtureRequest, dlib_engine: DlibEngine) -> Engine:
    if request.param == "insightface":
        return InsightfaceEngine(insight_packs.sample_pack())
    return dlib_engine if request.param == "dlib" else faceapi_truth.engine()


def measured(engine: Engine, rgb: RGB) -> tuple[Face, Measures]:
    opened = Photo.from_rgb(np.ascontiguousarray(rgb))
    (face,) = engine.detect(opened)
    return face, measure(opened, face)


def test_every_engine_measures_a_head_that_is_turned_tilted_or_made_smaller(engine: Engine) -> None:
    face, before = measured(engine, PORTRAIT)
    assert None not in asdict(before).values()
    assert before.yaw == pytest.approx(0, abs=8)
    # SCRFD draws the nose towards the middle, dlib moves the far corner of the eye away: the estimates are rough.
    for degrees in (-30, 30):
        yaw = measured(engine, degrading.turned(degrees)(PORTRAIT, face))[1].yaw
        assert 10 < np.sign(degrees) * (yaw - before.yaw) < 42
    lifted = measured(engine, degrading.turned(20, up=True)(PORTRAIT, face))[1]
    assert 8 < lifted.pitch - before.pitch < 30
    tilted = measured(engine, degrading.tilted(15)(PORTRAIT, face))[1]
    assert tilted.roll - before.roll == pytest.approx(15, abs=3)
    small = measured(engine, degrading.shrunk(30)(PORTRAIT, face))[1]
    assert small.eye_distance == pytest.approx(30, abs=3)
    # What does not depend on the size of the photo.
    for name in ("brightness", "contrast", "margin"):
        assert getattr(small, name) == pytest.approx(getattr(before, name), abs=0.15)


def test_the_pixels_of_a_copy_have_the_expected_measures(dlib_engine: DlibEngine) -> None:
    face, before = measured(dlib_engine, PORTRAIT)

    def of_copy(degrade: degrading.Degrade) -> Measures:
        """With the same landmarks: only the pixels change."""
        copy = Photo.from_rgb(np.ascontiguousarray(degrade(PORTRAIT, face)))
        copy.rgb()
        return measure(copy, face)

    dark, hazy = of_copy(degrading.exposed(0.3)), of_copy(degrading.hazy(0.5, haze=200))
    assert dark.brightness == pytest.approx(0.3 * before.brightness, abs=0.005)
    assert (dark.contrast, dark.sharpness) == pytest.approx((before.contrast, before.sharpness), rel=0.05)
    assert hazy.brightness == pytest.approx((before.brightness + 200 / 255) / 2, abs=0.005)
    assert hazy.contrast == pytest.approx(before.contrast / 2 * before.brightness / hazy.brightness, rel=0.03)
    sharpness = [of_copy(degrading.blurred(sigma)).sharpness for sigma in (0.01, 0.02, 0.04, 0.08)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[-1] < before.sharpness / 4
    cut = of_copy(degrading.cut(0.5))
    assert cut.margin is not None
    assert cut.margin <= before.margin


def test_the_margin_is_the_way_from_the_faces_outline_to_the_nearest_edge() -> None:
    """Eyes 100 pixels apart, looking straight ahead: the outline is a box of 220 by 280 pixels."""
    points = ((250, 300), (250, 300), (150, 300), (150, 300), (200, 375))
    face = Face((100, 200, 300, 400), points, 1.0, **DLIB_LANDMARKS)
    for width, height, margin in (
        (1000, 1000, 0.9),
        (400, 1000, 0.9),
        (350, 1000, 0.4),
        (1000, 490, 0),
        (1000, 470, -0.2),
    ):
        assert measure(Photo.from_rgb(np.zeros((height, width, 3), np.uint8)), face).margin == pytest.approx(margin)


def test_nothing_is_decoded_for_the_measures() -> None:
    opened = open_photo(photo("obama-2010.jpg"))
    engine = DlibEngine(find_weights())
    (face,) = engine.detect(opened)
    engine.crop(opened, [face])

    def decoded_again(_: int) -> RGB:
        raise AssertionError

    opened._decode = decoded_again
    assert measure(opened, face).eye_distance == pytest.approx(126, abs=3)


def test_without_landmarks_of_eyes_and_nose_the_pixels_are_measured_alone() -> None:
    opened = Photo.from_rgb(PORTRAIT)
    pixels = measure(opened, Face((348, 141, 613, 407), ((0, 0), (2, 2)), 1.0))
    named = {name for name, value in asdict(pixels).items() if value is not None}
    assert named == {"sharpness", "brightness", "contrast"}
    no_nose = measure(opened, Face((348, 141, 613, 407), ((570, 216), (423, 217)), 1.0, ((1, 2), (0, 1))))
    assert (no_nose.yaw, no_nose.pitch) == (None, None)
    assert no_nose.eye_distance == pytest.approx(147)


POINTS = st.tuples(st.integers(-500, 500), st.integers(-500, 500))


@given(st.lists(POINTS, min_size=5, max_size=5), st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_any_landmarks_on_any_photo_give_numbers_or_nothing(
    points: list[tuple[int, int]], width: int, height: int, value: int
) -> None:
    face = Face((-5, -5, 30, 30), tuple(points), 1.0, **DLIB_LANDMARKS)
    measures = asdict(measure(Photo.from_rgb(np.full((height, width, 3), value, np.uint8)), face))
    json.dumps(measures, allow_nan=False)
    assert {type(each) for each in measures.values()} <= {float, type(None)}


def test_dlibs_own_points_are_where_the_measures_look_for_them(dlib_engine: DlibEngine) -> None:
    for name in dlib_truth.ONE_FACE_PHOTOS:
        opened = open_photo(photo(name))
        (face,) = dlib_engine.detect(opened)
        assert face.eyes is not None
        (left, _), (right, _) = face.eyes
        nose = face.landmarks[4]
        assert left < nose[0] < right
        assert nose[1] > face.eyes[:, 1].max()
