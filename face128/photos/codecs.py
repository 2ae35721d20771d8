"""Pillow and libheif behind one door: a file's header, and its first frame as upright 8-bit RGB.

No switch of Pillow's that holds for the whole process is touched, and none is trusted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from face128.errors import BadImage, Face128Error, TooLarge, UnsupportedFormat

RGB = npt.NDArray[np.uint8]
"""(height, width, 3) uint8, C-contiguous."""

# TIFF tags, which EXIF uses as well.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 258, 262, 274
# What makes a picture with this EXIF orientation upright (Exif 2.32, 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pixels converted at a time: they stay in the processor's cache, and no second copy of the picture is made.
_STRIP = 2**18


class Header(NamedTuple):
    """What a file says of its first frame: upright size in pixels, and the turn that makes its pixels upright."""

    width: int
    height: int
    turn: Image.Transpose | None


@contextmanager
def codec_errors() -> Iterator[None]:
    """Turn what the codecs raise on a bad file into BadImage or TooLarge. Works as a decorator, too."""
    try:
        yield
    except Face128Error:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise TooLarge("The image has too many pixels.") from error
    except Exception as error:
        # A damaged file makes Pillow, libheif and zlib raise anything: OSError, SyntaxError, ValueError, TypeError,
        # IndexError, KeyError, EOFError, OverflowError, ZeroDivisionError, RuntimeError, struct.error, zlib.error ...
        raise BadImage() from error


def read_header(name: str, data: bytes) -> Header:
    """The header of a file in the format that containers.sniff named; no pixel is decoded. Raises UnsupportedFormat."""
    if name == "HEIC":
        # libheif turns the picture itself; the EXIF orientation only repeats what has been done.
        width, height = pillow_heif.open_heif(data).size
        return Header(width, height, None)
    image = _open(name, data)
    if not _white_is_known(image):
        raise UnsupportedFormat("These samples have no known white. Save the image with 8 or 16 bits a channel.")
    turn = _turn(image)
    width, height = image.size
    if turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8]):
        width, height = height, width
    return Header(width, height, turn)


@codec_errors()
def decode(name: str, data: bytes, turn: Image.Transpose | None, shrink: int) -> RGB:
    """Decode the first frame: upright RGB at 1/shrink of the size. Only JPEG takes a shrink other than 1 (2, 4, 8)."""
    if name == "HEIC":
        file = pillow_heif.open_heif(data)
        claimed = file.size
        image = file.to_pillow()
        if image.size != claimed:  # libheif leaves out a crop that does not fit
            raise BadImage()
    else:
        image = _open(name, data)
        if shrink > 1:
            image.draft(None, (image.width // shrink, image.height // shrink))
        image.load()
    if turn is not None:
        image = image.transpose(turn)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        rgb[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)))
    return rgb


class _WholeFile(io.BytesIO):
    """A file that says so when it is read beyond its end, even where LOAD_TRUNCATED_IMAGES has been switched on."""

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if not chunk and size:
            raise BadImage("The image is truncated.")
        return chunk


def _open(name: str, data: bytes) -> Image.Image:
    return Image.open(_WholeFile(data), formats=[name])


def _turn(image: Image.Image) -> Image.Transpose | None:
    # Not image.getexif(), which decodes a PNG. Pillow turns a TIFF itself, and keeps its tags elsewhere.
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return _TURNS.get(exif.get(_ORIENTATION, 1))
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
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return np.asarray(paper)
    return np.asarray(image.convert("RGB"))
