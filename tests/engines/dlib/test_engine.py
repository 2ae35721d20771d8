"""The dlib engine against face_recognition."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import dlib_truth
import numpy as np
import pytest
from serving import photo

from face128.domain.model_card import DLIB
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.engines.loader import load_engine
from face128.errors import ConfigurationError
from face128.photos.photo import Photo, open_photo
from face128.settings import Settings


@pytest.fixture(scope="module")
def reference() -> DlibEngine:
    return DlibEngine(find_weights(), "dlib", "exact")


@pytest.fixture(scope="module")
def engine() -> DlibEngine:
    return DlibEngine(find_weights())


def describe(engine: DlibEngine, name: str) -> np.ndarray:
    opened = open_photo(photo(name))
    return engine.describe(engine.crop(opened, engine.detect(opened)))


@pytest.mark.parametrize("name", dlib_truth.ALL_PHOTOS)
def test_exact_with_dlibs_network_is_bit_identical_to_face_recognition(reference: DlibEngine, name: str) -> None:
    assert np.array_equal(describe(reference, name), dlib_truth.descriptors(name))


@pytest.mark.parametrize("name", dlib_truth.ALL_PHOTOS)
def test_exact_with_onnx_is_face_recognition_to_1e_5(name: str) -> None:
    found = describe(DlibEngine(find_weights(), "onnx", "exact"), name)
    assert np.linalg.norm(found - dlib_truth.descriptors(name), axis=1).max() < 1e-5


@pytest.mark.parametrize("name", dlib_truth.ALL_PHOTOS)
def test_fast_finds_the_faces_that_exact_finds(engine: DlibEngine, name: str) -> None:
    assert len(engine.detect(open_photo(photo(name)))) == len(dlib_truth.descriptors(name))


def test_the_card_names_the_detection_mode(engine: DlibEngine, reference: DlibEngine) -> None:
    assert engine.card.name == reference.card.name == DLIB.name
    assert engine.card.pipeline.startswith("hog-fast")
    assert reference.card.pipeline.startswith("hog-exact")


def test_no_faces_have_no_descriptors(engine: DlibEngine, reference: DlibEngine) -> None:
    grey = Photo.from_rgb(np.full((300, 300, 3), 128, np.uint8))
    assert engine.detect(grey) == []
    for either in (engine, reference):
        assert either.describe(either.crop(grey, [])).shape == (0, 128)


def test_confidences_are_between_half_and_one_and_fall_along_the_list(engine: DlibEngine) -> None:
    faces = engine.detect(open_photo(photo(dlib_truth.TWO_FACE_PHOTO)))
    confidences = [face.confidence for face in faces]
    assert confidences == sorted(confidences, reverse=True)
    assert 0.5 < confidences[1] < 0.6 < 0.9 < confidences[0] < 1  # a patch on a sleeve, and a face


def test_landmarks_lie_in_the_face(engine: DlibEngine) -> None:
    for name in dlib_truth.ONE_FACE_PHOTOS:
        (face,) = engine.detect(open_photo(photo(name)))
        left, top, right, bottom = face.box
        assert len(face.landmarks) == 5
        assert all(left < x < right and top < y < bottom for x, y in face.landmarks)


def test_eight_threads_at_once_get_right_answers(engine: DlibEngine) -> None:
    """A detector that threads share crashes the process."""
    names = ("hopper-1984.jpg", "obama-2009.jpg", "obama-2012.jpg")
    expected = {name: describe(engine, name) for name in names}

    def call(i: int) -> bool:
        name = names[i % len(names)]
        return np.array_equal(describe(engine, name), expected[name])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(200)))


def test_the_same_photo_gives_the_same_descriptor_in_every_container(engine: DlibEngine) -> None:
    opened = open_photo(photo("hopper-1984.jpg"))
    plain = Photo.from_rgb(opened.rgb())  # not a JPEG any more: nothing is decoded at a smaller scale
    first, second = (engine.describe(engine.crop(p, engine.detect(p)))[0] for p in (opened, plain))
    assert np.linalg.norm(first - second) < 0.05


def test_load_engine_refuses_an_unknown_name() -> None:
    with pytest.raises(ConfigurationError, match="dlib"):
        load_engine("tensorflow", Settings())
