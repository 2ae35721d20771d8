"""The faceapi engine: options, model card, memory. Its descriptors are tested in test_parity.py."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faceapi_truth
import numpy as np
import numpy.typing as npt
import pytest
from faceapi_truth import PIPELINES, engine

from face128.domain.model_card import CARDS, FACEAPI
from face128.encoding.jitter import jittered_copies
from face128.engines.faceapi.engine import FaceapiEngine
from face128.engines.faceapi.scaling import scale_to_square
from face128.engines.loader import load_engine
from face128.errors import ConfigurationError
from face128.photos.photo import Photo
from face128.settings import Settings


def test_min_confidence_and_score_threshold_are_exclusive_bounds_of_the_score() -> None:
    models, photo = faceapi_truth.models(), Photo.from_rgb(faceapi_truth.fixture_pixels("biden-2010.jpg"))
    score = faceapi_truth.golden("biden-2010.jpg", "ssd", "canvas")[0].score
    assert len(FaceapiEngine(models, min_confidence=score - 0.01).detect(photo)) == 1
    assert not FaceapiEngine(models, min_confidence=score + 0.01).detect(photo)
    score = faceapi_truth.golden("biden-2010.jpg", "tiny", "canvas")[0].score
    assert len(FaceapiEngine(models, "tiny", score_threshold=score - 0.01).detect(photo)) == 1
    assert not FaceapiEngine(models, "tiny", score_threshold=score + 0.01).detect(photo)


def test_a_photo_without_a_face_has_none_and_no_faces_have_no_descriptors() -> None:
    for shape in ((64, 300), (1, 1), (1, 3000), (3000, 1)):
        photo = Photo.from_rgb(np.full((*shape, 3), 127, np.uint8))
        for detector, scaling in PIPELINES:
            assert engine(detector, scaling).detect(photo) == []
    assert engine().describe(engine().crop(photo, [])).shape == (0, 128)


def test_threads_share_an_engine() -> None:
    photo = Photo.from_rgb(faceapi_truth.fixture_pixels("obama-2012.jpg"))

    def describe(_: int) -> npt.NDArray[np.float32]:
        return engine().describe(engine().crop(photo, engine().detect(photo)))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(describe, range(8)))
    assert all(np.array_equal(results[0], result) for result in results)


def test_a_square_as_large_as_the_picture_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    for scaling in ("canvas", "tensor"):
        assert np.array_equal(scale_to_square(picture, 150, True, scaling), picture)  # type: ignore[arg-type]


def test_the_card_is_comparable_with_dlibs_both_ways_and_names_detector_and_scaling() -> None:
    dlib = CARDS["dlib-resnet-v1"]
    assert dlib.comparable(FACEAPI)
    assert FACEAPI.comparable(dlib)
    assert engine("tiny", "tensor").card.pipeline != engine("ssd", "tensor").card.pipeline
    assert engine().card.name == FACEAPI.name == "faceapi-resnet-v1"


def test_without_the_folder_of_models_the_engine_says_which_setting_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="FACE128_FACEAPI_MODELS"):
        load_engine("faceapi", Settings())


def test_loading_the_engine_beside_dlibs_takes_less_than_50_megabytes_more() -> None:
    script = """
import re, sys
from face128.engines.loader import load_engine
from face128.settings import Settings
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
settings = Settings(faceapi_models=sys.argv[1])
load_engine("dlib", settings)
before = resident()
engine = load_engine("faceapi", settings)
print(resident() - before)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    command = [sys.executable, "-c", script, str(faceapi_truth.models())]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 50


def test_other_engines_load_nothing_of_face_api() -> None:
    script = """
import sys
from face128.api.app import create_app
from face128.engines.loader import load_engine
from face128.settings import Settings
create_app(Settings())
load_engine("dlib", Settings())
print([name for name in sys.modules if "faceapi" in name])
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_chips_of_both_scalings_can_be_jittered() -> None:
    photo = Photo.from_rgb(faceapi_truth.fixture_pixels("obama-2012.jpg"))
    for scaling in ("canvas", "tensor"):
        chips = engine("ssd", scaling).crop(photo, engine("ssd", scaling).detect(photo))
        mean = engine("ssd", scaling).describe(jittered_copies(chips[0], 4)).mean(axis=0)
        assert 0 < np.linalg.norm(mean - engine("ssd", scaling).describe(chips)[0]) < 0.3
