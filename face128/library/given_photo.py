"""The forms in which a program has a photo: a file's bytes, its path, Pillow's image, or an array."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from face128.errors import BadImage, InvalidRequest, TooLarge, UnsupportedFormat
from face128.photos import codecs
from face128.photos.codecs import RGB
from face128.photos.photo import Limits, Photo

GivenPhoto = bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A text is a path. An array is (height, width, 3), red first, upright."""


def read_given_photo(photo: GivenPhoto, limits: Limits) -> bytes | Photo:
    """The bytes of a file, which are not decoded yet, or a photo of the pixels.

    Raises OSError if the file cannot be read; TooLarge, BadImage and UnsupportedFormat for an image or an array;
    InvalidRequest for anything else.
    """
    match photo:
        case bytes():
            return photo
        case bytearray() | memoryview():
            return bytes(photo)
        case str() | os.PathLike():
            return _read_file(Path(photo), limits)
        case Image.Image():
            _check_pixels(photo.width * photo.height, limits)
            return Photo.from_rgb(_rgb_of_image(photo))
        case np.ndarray():
            _check_pixels(int(np.prod(photo.shape[:2])), limits)
            return Photo.from_rgb(photo)
    raise InvalidRequest("A photo is a file's bytes, a path, an image of Pillow, or an array.", field="photo")


def _read_file(path: Path, limits: Limits) -> bytes:
    with path.open("rb") as file:
        return file.read(limits.max_bytes + 1)  # one too many is refused when the photo is opened


def _check_pixels(pixel_count: int, limits: Limits) -> None:
    if pixel_count > limits.max_pixels:
        raise TooLarge(f"The image has more than {limits.max_pixels} pixels.", max_pixels=limits.max_pixels)


def _rgb_of_image(image: Image.Image) -> RGB:
    """The pixels as face128 reads them from a file: upright, and white where they are transparent."""
    if image.mode in ("I", "F"):
        raise UnsupportedFormat("These samples have no known white. Give an image with 8 or 16 bits a channel.")
    try:
        upright = ImageOps.exif_transpose(image)  # the image may not be loaded yet
        rgb = np.empty((upright.height, upright.width, 3), np.uint8)
        for rows, strip in codecs.strips(upright):
            rgb[rows] = codecs.to_rgb(strip)
    except MemoryError:
        raise
    except Exception as error:  # for a damaged file Pillow raises anything
        raise BadImage() from error
    return rgb
