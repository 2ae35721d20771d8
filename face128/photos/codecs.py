"""Reads an image file with Pillow or libheif: its header, and its first frame as upright 8-bit RGB.

Process-wide switches of Pillow are neither changed nor relied on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from face128.errors import BadImage, Face128Error, OutOfMemory, TooLarge, UnsupportedFormat

RGB = npt.NDArray[np.uint8]
"""(height, width, 3) uint8, C-contiguous."""

# TIFF tags, which EXIF uses as well.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 258, 262, 274
# What makes a picture with this EXIF orientation upright (Exif 2.32, 4.6.4).
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = {_TRANSPOSES[orientation] for orientation in (5, 6, 7, 8)}
# Pixels converted at a time: they stay in the processor's cache, and no second copy of the picture is made.
_STRIP_PIXELS = 2**18


@contextmanager
def codec_errors() -> Iterator[None]:
    """Turn what the codecs raise into BadImage, TooLarge or OutOfMemory. Also a decorator."""
    try:
        yield
    except Face128Error:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge("The image has too many pixels.") from error
    except MemoryError as error:
        raise OutOfMemory() from error
    except Exception as error:
        # For a damaged file Pillow, libheif and zlib raise anything: OSError, SyntaxError, ValueError, TypeError,
        # IndexError, KeyError, EOFError, OverflowError, ZeroDivisionError, RuntimeError, struct.error, zlib.error ...
        raise BadImage() from error


def read_header(image_format: str, data: bytes) -> tuple[int, int, Image.Transpose | None]:
    """Width and height of the first frame, once upright, and the transpose that makes its pixels upright.

    ``image_format`` is what formats.sniff returned. No pixel is decoded. Raises UnsupportedFormat.
    """
    if image_format == "HEIC":
        # libheif makes the picture upright itself; the EXIF orientation only repeats what it has done.
        return (*pillow_heif.open_heif(data).size, None)
    image = Image.open(_StrictFile(data), formats=[image_format])
    if not _white_is_known(image):
        raise UnsupportedFormat("These samples have no known white. Save the image with 8 or 16 bits a channel.")
    transpose = _transpose(image)
    width, height = image.size[::-1] if transpose in _SWAPS_SIDES else image.size
    return width, height, transpose


@codec_errors()
def decode(image_format: str, data: bytes, transpose: Image.Transpose | None, shrink: int) -> RGB:
    """Decode the first frame: upright RGB at 1/shrink of the size. Only JPEG supports shrinks of 2, 4 and 8."""
    if image_format == "HEIC":
        file = pillow_heif.open_heif(data)
        claimed_size = file.size
        image = file.to_pillow()
        if image.size != claimed_size:  # libheif ignores a crop that does not fit
            raise BadImage()
    else:
        image = Image.open(_StrictFile(data), formats=[image_format])
        if shrink > 1:
            image.draft(None, (image.width // shrink, image.height // shrink))
        image.load()
    if transpose is not None:
        image = image.transpose(transpose)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        rgb[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)))
    return rgb


class _StrictFile(io.BytesIO):
    """Raises BadImage when it is read beyond its end, even if Pillow's LOAD_TRUNCATED_IMAGES is on."""

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if not chunk and size:
            raise BadImage("The image is truncated.")
        return chunk


def _transpose(image: Image.Image) -> Image.Transpose | None:
    # Not image.getexif(), which decodes a PNG. Pillow makes a TIFF upright itself, and keeps its tags elsewhere.
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return _TRANSPOSES.get(exif.get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block raises as many things as a damaged image, but spoils no pixel
        return None


def _white_is_known(image: Image.Image) -> bool:
    """False for integers of 32 bits, floats, and grey TIFFs in which 65535 is not white (12 bits, or white is zero)."""
    if image.mode.startswith("I;16") and image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        return bool(tags.get(_BITS_PER_SAMPLE) == (16,) and tags.get(_PHOTOMETRIC) == 1)
    return image.mode not in ("I", "F")


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(height, width, 3), or (height, width, 1) of a 16-bit grey image, uint8."""
    if image.mode.startswith("I;16"):
        # The high byte, as Pillow keeps it of 16-bit RGB; 8 bits that were multiplied by 256 or 257 come back exactly.
        return (np.asarray(image) >> 8).astype(np.uint8)[..., np.newaxis]
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(image, mask=image)
        return np.asarray(background)
    return np.asarray(image.convert("RGB"))
