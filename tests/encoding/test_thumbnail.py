"""The small picture of a face: it shows that face, upright, and carries nothing else of the photo."""

from __future__ import annotations

import io

import numpy as np
import pytest
from dlib_truth import ONE_FACE_PHOTOS
from PIL import Image
from serving import photo

from face128.encoding.encode import Encoding, encode
from face128.encoding.thumbnail import SIDE_PX, thumbnail
from face128.engines.base import Face
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.photos.photo import Limits, Photo


@pytest.fixture(scope="module")
def engine() -> DlibEngine:
    return DlibEngine(find_weights())


def encoded(engine: DlibEngine, data: bytes) -> Encoding:
    return encode(engine, data, Limits(), with_thumbnail=True)


def picture(encoding: Encoding) -> Image.Image:
    assert encoding.thumbnail is not None
    return Image.open(io.BytesIO(encoding.thumbnail))


@pytest.mark.parametrize("name", ONE_FACE_PHOTOS)
def test_it_shows_the_face_of_the_photo_and_is_small(engine: DlibEngine, name: str) -> None:
    first = encoded(engine, photo(name))
    small = picture(first)
    assert small.format == "JPEG"
    assert 100 <= max(small.size) <= SIDE_PX
    assert not small.getexif()
    assert {"icc_profile", "exif", "comment"}.isdisjoint(small.info)
    again = encode(engine, first.thumbnail or b"", Limits())
    assert np.linalg.norm(again.descriptor - first.descriptor) < 0.35  # the same face, of fewer pixels
    left, _, right, _ = again.face.box
    assert (right - left) / small.width > 0.4  # and most of the picture


def test_without_being_asked_there_is_none(engine: DlibEngine) -> None:
    assert encode(engine, photo("obama-2012.jpg"), Limits()).thumbnail is None


@pytest.mark.parametrize("turned", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270])
def test_of_a_turned_photo_it_is_upright(engine: DlibEngine, turned: Image.Transpose) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo("obama-2012.jpg"))).transpose(turned).save(file, "PNG")
    first = encoded(engine, file.getvalue())
    assert first.face.adjusted.turned
    upright = encode(engine, first.thumbnail or b"", Limits())
    assert not upright.face.adjusted.turned
    assert abs(upright.face.roll_degrees or 0) < 15


@pytest.mark.parametrize(
    "box", [(-40, -30, 4, 6), (36, 26, 300, 300), (0, 0, 40, 30), (39, 29, 39, 29), (10, 10, 11, 90)]
)
def test_a_face_at_the_edge_of_a_tiny_photo_has_one(box: tuple[int, int, int, int]) -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (30, 40, 3), np.uint8)
    small = Image.open(io.BytesIO(thumbnail(Photo.from_rgb(rgb), Face(box, (), 1.0))))
    assert min(small.size) >= 1
    assert max(small.size) <= 40
