"""A look at a photo finds and describes what the other functions do, and makes a small copy."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from dlib_truth import ALL_PHOTOS
from image_files import exif, portrait
from PIL import Image
from serving import photo

from face128.encoding.encode import assess_faces, encode
from face128.encoding.look import look
from face128.engines.base import Engine
from face128.engines.loader import load_engine
from face128.errors import BadImage, TooLarge
from face128.photos.photo import Limits, open_photo
from face128.photos.preview import preview
from face128.settings import Settings


@pytest.fixture(scope="module")
def dlib() -> Engine:
    return load_engine("dlib", Settings())


@pytest.mark.parametrize("name", ALL_PHOTOS)
def test_it_describes_the_largest_face_as_encode_does(dlib: Engine, name: str) -> None:
    looked, encoded = (
        look(dlib, photo(name), Limits()),
        encode(dlib, photo(name), Limits(), "largest", with_quality=True),
    )
    assert looked.described is not None
    assert np.array_equal(looked.described.descriptor, encoded.descriptor)
    fields = {"descriptor": encoded.descriptor, "photo": encoded.photo}
    assert vars(replace(looked.described, **fields)) == vars(encoded)
    opened, faces, qualities = assess_faces(dlib, photo(name), Limits())
    assert (looked.width, looked.height) == (opened.width, opened.height)
    assert sorted(face.box for face in looked.faces) == sorted(face.box for face in faces)
    assert [qualities[faces.index(face)] for face in looked.faces] == looked.qualities
    assert looked.faces[0] == encoded.face


def test_no_face_is_no_error_and_no_photo_is_one(dlib: Engine) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (300, 200), (90, 90, 90)).save(grey, "PNG")
    looked = look(dlib, grey.getvalue(), Limits())
    assert (looked.faces, looked.qualities, looked.described) == ([], [], None)
    assert Image.open(io.BytesIO(looked.preview)).size == (300, 200)
    with pytest.raises(BadImage):
        look(dlib, grey.getvalue()[:100], Limits())
    with pytest.raises(TooLarge):
        look(dlib, grey.getvalue(), Limits(max_pixels=100))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1700, 900), (300, 1400), (640, 640), (17, 9)])
def test_the_copy_is_the_upright_photo_made_small(size: tuple[int, int], orientation: int) -> None:
    file = io.BytesIO()
    portrait(*size).save(file, "JPEG", quality=95, exif=exif(orientation), comment=b"secret place")
    opened = open_photo(file.getvalue())
    data = preview(opened)
    copy = Image.open(io.BytesIO(data))
    assert copy.format == "JPEG"
    assert max(copy.size) == min(640, max(size))
    assert copy.width / copy.height == pytest.approx(opened.width / opened.height, rel=0.05)
    assert len(copy.getexif()) == 0
    assert b"secret" not in data
    expected = Image.fromarray(opened.rgb()).resize(copy.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(copy.convert("RGB"), float) - np.asarray(expected, float)).mean() < 10
