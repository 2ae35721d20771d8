"""face128.face_recognition against the package itself: the same photos, functions and arguments."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dlib_truth
import face_recognition
import numpy as np
import pytest
import recognised
from lfw import LFW, needs_lfw
from PIL import Image, ImageFile
from serving import PHOTOS, photo

import face128.face_recognition as shim
from face128.errors import ConfigurationError
from face128.face_recognition import api, not_offered
from face128.face_recognition.models import Models
from face128.settings import Settings

pytestmark = pytest.mark.timeout(600)  # face_recognition takes most of the time: 20 seconds for 200 photos

EXACT = {"FACE128_DETECTION": "exact", "FACE128_NETWORK": "dlib"}
FIXTURES = [PHOTOS / name for name in dlib_truth.ALL_PHOTOS]
LFW_PHOTOS = 200
ONNX_DISTANCE = 1e-5  # docs/benchmarks.md: the network in ONNX Runtime from dlib's own
FAST_DISTANCE = 0.25  # of two photos of one face 0.3 to 0.4 is usual

ImageFile.LOAD_TRUNCATED_IMAGES = False  # both set it: the other tests of this process must not depend on it


@pytest.fixture(scope="module")
def truth() -> list[dict[str, Any]]:
    return recognised.read(recognised.start(recognised.ORIGINAL, FIXTURES))


def test_in_exact_mode_everything_is_equal_to_the_bit(truth: list[dict[str, Any]]) -> None:
    assert recognised.read(recognised.start(recognised.SHIM, FIXTURES, **EXACT)) == truth


def test_exact_places_are_equal_with_the_fast_network(truth: list[dict[str, Any]]) -> None:
    files = FIXTURES[:3]
    results = recognised.read(recognised.start(recognised.SHIM, files, FACE128_DETECTION="exact"))
    for mine, theirs in zip(results, truth[: len(files)], strict=True):
        for same in ("pixels", "locations", "landmarks"):
            assert mine[same] == theirs[same]
        for form in ("encodings", "jittered"):
            assert np.abs(np.subtract(mine[form], theirs[form])).max(initial=0) < ONNX_DISTANCE


@needs_lfw
def test_photos_of_lfw_are_equal_to_the_bit_in_exact_mode_and_near_in_the_fast_one() -> None:
    every = sorted((LFW / "images").rglob("*.jpg"))
    files = every[:: len(every) // LFW_PHOTOS][:LFW_PHOTOS]
    assert len(files) == LFW_PHOTOS
    exact = recognised.start(recognised.SHIM, files, "encodings", **EXACT)
    fast = recognised.start(recognised.SHIM, files, "encodings")
    truth = recognised.read(recognised.start(recognised.ORIGINAL, files, "encodings"))
    assert recognised.read(exact) == truth
    counted_alike, distances = 0, []
    for mine, theirs in zip(recognised.read(fast), truth, strict=True):
        assert mine["pixels"] == theirs["pixels"]
        if len(mine["encodings"]) == len(theirs["encodings"]):
            counted_alike += 1
            distances += [
                min(np.linalg.norm(np.subtract(one, other)) for other in theirs["encodings"])
                for one in mine["encodings"]
            ]
    assert counted_alike >= LFW_PHOTOS - 2
    assert np.median(distances) < 0.1
    assert max(distances) < FAST_DISTANCE


def test_known_locations_give_the_same_encodings_whatever_finds_the_faces(truth: list[dict[str, Any]]) -> None:
    for file, theirs in zip(FIXTURES, truth, strict=True):
        image, locations = shim.load_image_file(str(file)), theirs["locations"]
        assert np.abs(np.subtract(shim.face_encodings(image, locations), theirs["encodings"])).max() < ONNX_DISTANCE
        assert json.loads(json.dumps(shim.face_landmarks(image, locations, "small"))) == theirs["landmarks"]
    assert shim.face_encodings(image, []) == shim.face_landmarks(image, [], "small") == []


@pytest.mark.parametrize("upsamplings", [0, 2])
def test_other_upsamplings_are_searched_as_dlib_does(upsamplings: int) -> None:
    image = face_recognition.load_image_file(str(PHOTOS / "obama-2012.jpg"))[::2, ::2].copy()
    assert shim.face_locations(image, upsamplings) == face_recognition.face_locations(image, upsamplings)


def test_a_grey_image_is_searched_as_dlib_does() -> None:
    image = shim.load_image_file(str(PHOTOS / "obama-2012.jpg"), mode="L")
    assert image.ndim == 2
    assert shim.face_locations(image) == face_recognition.face_locations(image) != []
    for module in (shim, face_recognition):
        with pytest.raises(TypeError):
            module.face_encodings(image)


def test_a_view_of_an_image_is_read_as_it_is_shown() -> None:
    """OpenCV's order of colours, turned round: dlib itself refuses it, or reads the memory behind it."""
    image = shim.load_image_file(str(PHOTOS / "obama-2012.jpg"))
    view = image[:, :, ::-1].copy()[:, :, ::-1]
    assert shim.face_locations(view) == shim.face_locations(image)
    assert np.array_equal(shim.face_encodings(view), shim.face_encodings(image))


@pytest.mark.parametrize("settings", [{}, {"detection": "exact", "network": "dlib"}])
def test_many_threads_get_the_results_of_one(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    one = Models(Settings(**settings))
    monkeypatch.setattr(api, "models", lambda: one)
    images = [shim.load_image_file(str(file))[::2, ::2] for file in FIXTURES]

    def results(image: Any) -> Any:
        return shim.face_locations(image), [each.tolist() for each in shim.face_encodings(image)]

    alone = [results(image) for image in images]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(results, images * 2)) == alone * 2


FORKING = """
import multiprocessing, sys
import face128.face_recognition as f
image = f.load_image_file(sys.argv[1])[::2, ::2]
def describe(_):
    return f.face_encodings(image)[0].tolist()
alone = describe(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(describe, range(4)).get(60) == [alone] * 4
"""


def test_processes_that_are_forked_after_the_models_were_loaded_use_them() -> None:
    subprocess.run([sys.executable, "-c", FORKING, str(FIXTURES[0])], check=True, timeout=100)


ENDING = """
import os, sys
import face128.face_recognition as f
image = f.load_image_file(sys.argv[1])[::2, ::2]
alone = f.face_encodings(image)[0].tolist()
forked = os.fork()
same = f.face_encodings(image)[0].tolist() == alone
if forked:
    same = same and os.waitpid(forked, 0)[1] == 0
sys.exit(not same)
"""


def test_a_forked_process_ends_as_usual() -> None:
    """Not by os._exit, as those of multiprocessing do: what it inherited is ended too."""
    subprocess.run([sys.executable, "-c", ENDING, str(FIXTURES[0])], check=True, timeout=100)


def _saved(**options: Any) -> Callable[[Image.Image], bytes]:
    def save(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, **options)
        return file.getvalue()

    return save


EXIF_TURNED = Image.Exif()
EXIF_TURNED[0x0112] = 6
FILES: dict[str, Callable[[Image.Image], bytes]] = {
    "grey": lambda image: _saved(format="PNG")(image.convert("L")),
    "palette": lambda image: _saved(format="PNG")(image.convert("P")),
    "transparent": lambda image: _saved(format="PNG")(Image.merge("RGBA", (*image.split(), image.split()[0]))),
    "cmyk": lambda image: _saved(format="JPEG")(image.convert("CMYK")),
    "turned by EXIF": _saved(format="JPEG", exif=EXIF_TURNED),
    "truncated": lambda image: _saved(format="JPEG")(image)[:-2000],
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("mode", ["RGB", "L", None])
def test_a_file_is_read_as_face_recognition_reads_it(
    kind: str, mode: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as importing either sets it
    data = FILES[kind](Image.open(io.BytesIO(photo("obama-2012.jpg"))).resize((120, 90)))
    (tmp_path / "photo").write_bytes(data)
    for mine, theirs in (
        (shim.load_image_file(io.BytesIO(data), mode), face_recognition.load_image_file(io.BytesIO(data), mode)),
        (shim.load_image_file(tmp_path / "photo", mode), face_recognition.load_image_file(tmp_path / "photo", mode)),
    ):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)
        assert mine.flags.writeable


def test_importing_it_lets_truncated_files_through_as_face_recognition_does() -> None:
    check = "import face128.face_recognition; from PIL import ImageFile; assert ImageFile.LOAD_TRUNCATED_IMAGES"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)


def test_distances_and_comparisons_are_equal_to_the_bit() -> None:
    numbers = np.random.default_rng(0).normal(0, 0.06, (50, 128))
    for known in (list(numbers), numbers, numbers.astype(np.float32), [], np.array([])):
        for name in ("face_distance", "compare_faces"):
            mine, theirs = (getattr(module, name)(known, numbers[0]) for module in (shim, face_recognition))
            assert type(mine) is type(theirs)
            assert np.array_equal(mine, theirs)
    strict = shim.compare_faces(numbers, numbers[0], tolerance=0)
    assert strict == face_recognition.compare_faces(numbers, numbers[0], 0)
    assert sum(strict) == 1


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda image: shim.face_landmarks(image), not_offered.SIXTY_EIGHT_POINTS),
        (lambda image: shim.face_landmarks(image, [], "large"), not_offered.SIXTY_EIGHT_POINTS),
        (lambda image: shim.face_encodings(image, model="large"), not_offered.SIXTY_EIGHT_POINTS),
        (lambda image: shim.face_locations(image, model="cnn"), not_offered.CNN_DETECTOR),
        (lambda image: shim.batch_face_locations([image]), not_offered.CNN_DETECTOR),
        (lambda image: api._raw_face_locations_batched([image], 0), not_offered.CNN_DETECTOR),
    ],
)
def test_what_is_not_offered_says_so(call: Callable[[Any], object], why: str) -> None:
    with pytest.raises(NotImplementedError) as caught:
        call(np.zeros((100, 100, 3), np.uint8))
    assert isinstance(caught.value, ConfigurationError)
    assert str(caught.value) == why


def test_wrong_arguments_raise_what_face_recognition_raises() -> None:
    for module in (shim, face_recognition):
        with pytest.raises(ValueError, match=r"Supported models are \['small', 'large'\]"):
            module.face_landmarks(np.zeros((9, 9, 3), np.uint8), [], model="medium")
        with pytest.raises(RuntimeError, match="Unsupported image type"):
            module.face_locations(np.zeros((100, 100, 3)))
        assert module.face_locations(np.zeros((0, 0, 3), np.uint8)) == []
