"""A head's roll, by dlib's 5 landmarks, by face-api.js's 68 and by InsightFace's 5."""

from __future__ import annotations

import faceapi_truth
import insight_packs
import numpy as np
import pytest
from PIL import Image

from face128.engines.base import Engine, Face
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.engines.insightface.engine import InsightfaceEngine
from face128.photos.photo import Photo


@pytest.fixture(params=["dlib", "faceapi", "insightface"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "insightface":
        return InsightfaceEngine(insight_packs.sample_pack())
    return DlibEngine(find_weights()) if request.param == "dlib" else faceapi_truth.engine()


def roll_of(engine: Engine, clockwise: float) -> float:
    image = Image.fromarray(faceapi_truth.fixture_pixels("obama-2012.jpg")).rotate(-clockwise)
    (face,) = engine.detect(Photo.from_rgb(np.asarray(image)))
    assert face.roll_degrees is not None
    return face.roll_degrees


def test_an_upright_head_has_no_roll(engine: Engine) -> None:
    assert roll_of(engine, 0) == pytest.approx(0, abs=2)


@pytest.mark.parametrize("clockwise", [-20, -10, 10, 20])
def test_turning_the_photo_clockwise_adds_to_the_roll(engine: Engine, clockwise: int) -> None:
    assert roll_of(engine, clockwise) - roll_of(engine, 0) == pytest.approx(clockwise, abs=2)


def test_other_landmarks_have_no_roll() -> None:
    assert Face((0, 0, 2, 2), ((0, 0), (2, 2)), 1.0).roll_degrees is None
