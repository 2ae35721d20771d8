"""photo.py: limits, sizes, base64, and the same pixels as face_recognition."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import face_recognition
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import BEST_QUALITY, PHOTOS, exif, image_file, png, portrait
from PIL import Image

from face128.errors import BadImage, TooLarge, UnsupportedFormat
from face128.photos.photo import Limits, Photo, decode_base64, open_photo


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_a_plain_photo_has_the_very_pixels_that_face_recognition_sees(path: Path) -> None:
    photo = open_photo(path.read_bytes())
    expected = face_recognition.load_image_file(path)
    assert np.array_equal(photo.rgb(), expected)
    assert (photo.height, photo.width, 3) == expected.shape
    assert photo.rgb().dtype == np.uint8
    assert photo.rgb().flags.c_contiguous


@pytest.mark.parametrize("name", BEST_QUALITY)
def test_every_format_is_read_at_every_scale(name: str) -> None:
    original = portrait(125, 62)
    # GIF has 256 colours, and at most 2 % of the range is lost by the codecs.
    tolerance = 12 if name == "GIF" else 5
    photo = open_photo(image_file(name, original))
    assert (photo.width, photo.height) == (125, 62)
    for shrink in (1, 2, 4, 8):
        pixels = photo.rgb(shrink)
        expected = np.asarray(original.reduce(shrink))
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).mean() < tolerance
        assert pixels.flags.c_contiguous
        assert pixels is photo.rgb(shrink)


def test_a_caller_cannot_change_the_pixels_that_the_next_one_gets() -> None:
    photo = open_photo(PHOTOS[0].read_bytes())
    with pytest.raises(ValueError, match="read-only"):
        photo.rgb()[0, 0, 0] = 1


def test_a_shrunk_jpeg_is_decoded_at_that_scale_and_not_in_full() -> None:
    photo = open_photo(image_file("JPEG", portrait(800, 600)))
    reference = Image.open(io.BytesIO(image_file("JPEG", portrait(800, 600))))
    reference.draft("RGB", (200, 150))
    assert np.array_equal(photo.rgb(4), np.asarray(reference))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20))
@pytest.mark.parametrize(("name", "options"), [("JPEG", {"exif": exif(6)}), ("PNG", {})])
def test_a_shrunk_size_is_rounded_up_for_photos_of_any_size(
    name: str, options: dict[str, Any], width: int, height: int
) -> None:
    photo = open_photo(image_file(name, portrait(width, height), **options))
    if name == "JPEG":
        width, height = height, width
    assert (photo.width, photo.height) == (width, height)
    for shrink in (1, 2, 4, 8):
        assert photo.rgb(shrink).shape == (-(-height // shrink), -(-width // shrink), 3)


def test_a_photo_made_of_an_array_gives_that_array() -> None:
    array = np.asarray(portrait())
    photo = Photo.from_rgb(array[:, ::-1])
    assert (photo.width, photo.height) == (120, 62)
    assert np.array_equal(photo.rgb(), array[:, ::-1])
    assert photo.rgb().flags.c_contiguous
    assert photo.rgb(2).shape == (31, 60, 3)


def test_making_a_photo_of_an_array_leaves_the_callers_array_writable() -> None:
    array = np.array(portrait())
    Photo.from_rgb(array).rgb()
    array[0, 0, 0] = 1


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_an_array_that_is_no_rgb_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadImage):
        Photo.from_rgb(np.zeros(shape, np.uint8))
    with pytest.raises(BadImage):
        Photo.from_rgb(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]


def test_an_empty_file_is_a_bad_image() -> None:
    with pytest.raises(BadImage):
        open_photo(b"")


def test_the_byte_limit_is_inclusive_and_comes_first() -> None:
    data = PHOTOS[0].read_bytes()
    open_photo(data, Limits(max_bytes=len(data)))
    with pytest.raises(TooLarge):
        open_photo(data, Limits(max_bytes=len(data) - 1))
    with pytest.raises(TooLarge):
        open_photo(bytes(100), Limits(max_bytes=99))


@pytest.mark.parametrize("name", BEST_QUALITY)
def test_the_pixel_limit_is_inclusive(name: str) -> None:
    data = image_file(name, portrait(100, 60))
    open_photo(data, Limits(max_pixels=6000))
    with pytest.raises(TooLarge):
        open_photo(data, Limits(max_pixels=5999))


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_a_picture_without_pixels_is_a_bad_image(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage):
        open_photo(png(*size, 8, 2, b"\0" * 5))


def test_two_threads_decode_different_photos_at_once() -> None:
    files = [image_file(name, portrait(640, 480)) for name in BEST_QUALITY] * 3

    def pixels(data: bytes) -> np.ndarray:
        return open_photo(data).rgb()

    alone = [pixels(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(pixels, files))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    "prefix", ["", "data:image/jpeg;base64,", " DATA:image/png;charset=utf-8;base64,", "data:;base64,"]
)
@pytest.mark.parametrize("wrap", [0, 76])
def test_base64_is_read_plain_and_as_a_data_url_with_any_whitespace(prefix: str, wrap: int) -> None:
    data = PHOTOS[0].read_bytes()
    text = base64.encodebytes(data).decode().replace("\n", "\r\n ") if wrap else base64.b64encode(data).decode()
    assert decode_base64(prefix + text) == data


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,"])
@pytest.mark.parametrize("extra", range(3))
def test_base64_is_read_in_the_url_safe_alphabet_with_and_without_padding(prefix: str, extra: int) -> None:
    data = PHOTOS[0].read_bytes() + bytes(extra)
    text = base64.urlsafe_b64encode(data).decode()
    assert {"-", "_"} < set(text)
    assert decode_base64(prefix + text) == decode_base64(prefix + text.rstrip("=")) == data
    with pytest.raises(TooLarge):
        decode_base64(text.rstrip("="), len(data) - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "data:image/png;base64,",
        "data:image/png,abcd",
        "ab!d",
        "abcde",
        "ab=d",
        "YQ==YQ==",
        "ä" * 4,
        "_9j-A",
        "-==",
    ],
)
def test_what_is_not_base64_is_a_bad_image(text: str) -> None:
    with pytest.raises(BadImage):
        decode_base64(text)


def test_base64_of_too_many_bytes_is_refused_before_it_is_decoded() -> None:
    for count in (7, 8, 9):
        text = base64.b64encode(bytes(count)).decode()
        assert decode_base64(text, count) == bytes(count)
        with pytest.raises(TooLarge):
            decode_base64(text, count - 1)
    with pytest.raises(TooLarge):
        decode_base64("!" * 100, 10)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        bytes(100),
        b"%PDF-1.7 ...",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BMW is a car, not an image.",
    ],
)
def test_what_is_no_image_at_all_is_an_unsupported_format(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        open_photo(data)
