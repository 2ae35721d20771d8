"""The InsightFace engine against the insightface package, on the sample networks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import insight_packs
import numpy as np
import pytest
from PIL import Image
from serving import photo

from face128.engines.insightface.engine import InsightfaceEngine
from face128.photos.photo import Photo, open_photo


@pytest.fixture(scope="module")
def exact() -> InsightfaceEngine:
    return InsightfaceEngine(insight_packs.sample_pack(), detection="exact")


@pytest.fixture(scope="module")
def fast() -> InsightfaceEngine:
    return InsightfaceEngine(insight_packs.sample_pack())


def describe(engine: InsightfaceEngine, photo: Photo) -> np.ndarray:
    return engine.describe(engine.crop(photo, engine.detect(photo)))


@pytest.mark.parametrize("name", insight_packs.GOLDEN)
def test_exact_finds_the_faces_that_the_package_finds(exact: InsightfaceEngine, name: str) -> None:
    faces = exact.detect(open_photo(photo(name)))
    assert len(faces) == len(insight_packs.GOLDEN[name])
    for face, golden in zip(faces, insight_packs.GOLDEN[name], strict=True):
        # Pillow truncates fractions of a grey level, OpenCV rounds.
        assert face.confidence == pytest.approx(golden["score"], abs=0.003)
        assert np.abs(np.subtract(face.box, golden["box"])).max() < 1  # ours are whole pixels
        points = [complex(*point) for point in golden["points"]]
        assert np.abs(np.subtract(face.points, points)).max() < 1


@pytest.mark.parametrize("name", insight_packs.GOLDEN)
def test_exact_gives_the_embeddings_that_the_package_gives(exact: InsightfaceEngine, name: str) -> None:
    found, golden = describe(exact, open_photo(photo(name))), insight_packs.golden_descriptors(name)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    # Noise of one grey level moves these int8 embeddings by 0.003 to 0.005.
    assert (1 - (found * golden).sum(axis=1)).max() < 0.015


@pytest.mark.parametrize("name", insight_packs.GOLDEN)
def test_fast_stays_close_to_the_package(fast: InsightfaceEngine, name: str) -> None:
    found, golden = describe(fast, open_photo(photo(name))), insight_packs.golden_descriptors(name)
    assert (1 - (found * golden).sum(axis=1)).max() < 0.05


def test_a_face_that_fills_the_photo_is_found(fast: InsightfaceEngine) -> None:
    """The package finds none here: at 640 pixels the face is too large for the detector."""
    left, top, right, bottom = (round(side) for side in insight_packs.GOLDEN["obama-2012.jpg"][0]["box"])
    whole = open_photo(photo("obama-2012.jpg"))
    close = Photo.from_rgb(np.ascontiguousarray(whole.rgb()[top:bottom, left:right]))
    (face,) = fast.detect(close)
    assert face.box[3] - face.box[1] > 0.8 * close.height
    assert 1 - describe(fast, close)[0] @ describe(fast, whole)[0] < 0.2


def test_landmarks_lie_in_the_face_in_the_packages_order(fast: InsightfaceEngine) -> None:
    (face,) = fast.detect(open_photo(photo("hopper-1984.jpg")))
    left, top, right, bottom = face.box
    assert all(left < x < right and top < y < bottom for x, y in face.landmarks)
    eye, other_eye, nose, mouth, other_mouth = face.landmarks
    assert eye[0] < nose[0] < other_eye[0]
    assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


def test_a_turned_face_is_laid_upright(exact: InsightfaceEngine) -> None:
    image = Image.fromarray(open_photo(photo("obama-2012.jpg")).rgb())
    turned = image.rotate(25, Image.Resampling.BICUBIC, center=(494, 255))
    upright, tilted = (describe(exact, Photo.from_rgb(np.asarray(each)))[0] for each in (image, turned))
    assert 1 - upright @ tilted < 0.15


def test_one_colour_has_no_face_and_no_descriptor(fast: InsightfaceEngine) -> None:
    grey = Photo.from_rgb(np.full((300, 400, 3), 128, np.uint8))
    assert fast.detect(grey) == []
    assert fast.describe(fast.crop(grey, [])).shape == (0, 512)


@pytest.mark.parametrize("size", [(1, 1), (3, 3000), (3000, 3)])
def test_a_photo_of_any_shape_is_looked_at(fast: InsightfaceEngine, size: tuple[int, int]) -> None:
    assert fast.detect(Photo.from_rgb(np.full((*size, 3), 200, np.uint8))) == []


def test_threads_may_share_the_engine(fast: InsightfaceEngine) -> None:
    names = ("hopper-1984.jpg", "obama-2009.jpg", "collins-1999.png")
    expected = {name: describe(fast, open_photo(photo(name))) for name in names}
    with ThreadPoolExecutor(4) as pool:
        for name, found in zip(
            names * 4, pool.map(lambda n: describe(fast, open_photo(photo(n))), names * 4), strict=True
        ):
            assert np.array_equal(found, expected[name])


def test_the_card_says_what_a_descriptor_depends_on(exact: InsightfaceEngine, fast: InsightfaceEngine) -> None:
    assert exact.card.name == fast.card.name == "insightface-w600k_mbf_int8-7caa7fb0"
    assert (fast.card.dimension, fast.card.metric, fast.card.threshold) == (512, "cosine", 0.45)
    assert "non-commercial" in fast.card.licence
    assert fast.card.pipeline == "det_500m-640-fast/similarity-112/1"
    assert exact.card.pipeline == "det_500m-640-exact/similarity-112/1"
