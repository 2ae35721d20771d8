"""Reads an image file with Pillow or libheif: its header, and its first frame as upright 8-bit RGB.

Process-wide switches of Pillow are neither changed nor relied on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from face128.domain.model_card import Rendering
from face128.errors import BadImage, Face128Error, OutOfMemory, TooLarge, UnsupportedFormat
from face128.photos.formats import XMP_ORIENTATION
from face128.photos.unsupported import is_unsupported_kind

RGB = npt.NDArray[np.uint8]
"""(height, width, 3) uint8, C-contiguous."""

# TIFF tags, which EXIF uses as well.
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION = 258, 259, 262, 266, 274
_PLANAR_CONFIGURATION, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 284, 338, 339
_TILE_WIDTH, _TILE_OFFSETS, _CHROMA_SUBSAMPLING = 322, 324, 530
_PREMULTIPLIED, _SIGNED = 1, 2
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
# Of a picture that is converted at once, in half the time: it takes 1 byte a pixel more than decode_memory.py says.
_MAX_WHOLE_PIXELS = 2 * 2**20


@contextmanager
def codec_errors(image_format: str, data: bytes) -> Iterator[None]:
    """Turn what the codecs raise for this file into BadImage, UnsupportedFormat, TooLarge or OutOfMemory."""
    try:
        yield
    except BadImage as error:
        if is_unsupported_kind(image_format, data):
            raise _unsupported(image_format) from error
        raise
    except Face128Error:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge("The image has too many pixels.") from error
    except MemoryError as error:
        raise OutOfMemory() from error
    except Exception as error:
        # For a damaged file Pillow, libheif and zlib raise anything: OSError, SyntaxError, ValueError, TypeError,
        # IndexError, KeyError, EOFError, OverflowError, ZeroDivisionError, RuntimeError, struct.error, zlib.error ...
        if is_unsupported_kind(image_format, data):
            raise _unsupported(image_format) from error
        raise BadImage() from error


def _unsupported(image_format: str) -> UnsupportedFormat:
    return UnsupportedFormat(f"This kind of {image_format} cannot be read. Save the image as a plain JPEG or PNG.")


def read_header(
    image_format: str, data: bytes, rendering: Rendering = "plain"
) -> tuple[int, int, Image.Transpose | None]:
    """Width and height of the first frame, once upright, and the transpose that makes its pixels upright.

    ``image_format`` is what formats.sniff returned. No pixel is decoded. Raises UnsupportedFormat.
    """
    if image_format == "HEIC":
        # libheif makes the picture upright itself; the EXIF orientation only repeats what it has done.
        return (*pillow_heif.open_heif(data).size, None)
    image = Image.open(_StrictFile(data), formats=[image_format])
    if not _white_is_known(image):
        raise UnsupportedFormat("These samples have no known white. Save the image with 8 or 16 bits a channel.")
    if image.format == "TIFF" and _is_misread(image):
        raise _unsupported(image_format)
    if rendering == "browser":  # Chrome reads no orientation in XMP, nor any of a WebP
        image.info.pop("xmp", None)
        if image_format == "WEBP":
            image.info.pop("exif", None)
    transpose = _transpose(image)
    width, height = image.size[::-1] if transpose in _SWAPS_SIDES else image.size
    return width, height, transpose


def decode(image_format: str, data: bytes, transpose: Image.Transpose | None, shrink: int) -> RGB:
    """Decode the first frame: upright RGB at 1/shrink of the size. Only JPEG supports shrinks of 2, 4 and 8."""
    with codec_errors(image_format, data):
        image, deep_transparency = load_frame(image_format, data, transpose, shrink)
        if transpose is not None:
            image = image.transpose(transpose)
        is_plain = image.mode == "RGB" and not image.has_transparency_data and deep_transparency is None
        if is_plain and image.width * image.height <= _MAX_WHOLE_PIXELS:
            return np.asarray(image)
        rgb = np.empty((image.height, image.width, 3), np.uint8)
        for rows, strip in strips(image):
            rgb[rows] = to_rgb(strip)
            if deep_transparency is not None:
                rgb[rows][deep_transparency.matches(rows, rgb[rows])] = 255
        return rgb


@dataclass(frozen=True)
class DeepTransparency:
    """The transparent pixels of a PNG with 16-bit colours, of which Pillow decodes the high bytes alone."""

    colour: tuple[int, int, int]
    low_bytes_match: npt.NDArray[np.bool_]
    """(height, width), upright: where the low bytes are those of the transparent colour."""

    def matches(self, rows: slice, high_bytes: RGB) -> npt.NDArray[np.bool_]:
        return self.low_bytes_match[rows] & (high_bytes == np.right_shift(self.colour, 8)).all(axis=2)  # type: ignore[no-any-return]


def load_frame(
    image_format: str, data: bytes, transpose: Image.Transpose | None, shrink: int = 1
) -> tuple[Image.Image, DeepTransparency | None]:
    """The first frame, decoded, but not yet transposed."""
    if image_format == "HEIC":
        return _load_heic(data), None
    image = Image.open(_StrictFile(data), formats=[image_format])
    colour = _correct_transparency(image, data) if image_format == "PNG" else None
    if shrink > 1:
        image.draft(None, (image.width // shrink, image.height // shrink))
    image.info.pop("xmp", None)  # Pillow would turn a TIFF by it; ``transpose`` does so
    deep_transparency = None
    if colour is not None:  # before the image takes memory as well
        deep_transparency = DeepTransparency(colour, _low_bytes_match(colour, data, transpose))
    image.load()
    return image, deep_transparency


def _load_heic(data: bytes) -> Image.Image:
    file = pillow_heif.open_heif(data)
    claimed_size = file.size
    image = file.to_pillow()
    if image.size != claimed_size:  # libheif ignores a crop that does not fit
        raise BadImage()
    return image


def strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


class _StrictFile(io.BytesIO):
    """Raises BadImage when it is read beyond its end, even if Pillow's LOAD_TRUNCATED_IMAGES is on."""

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if not chunk and size:
            raise BadImage("The image is truncated.")
        return chunk


def _transpose(image: Image.Image) -> Image.Transpose | None:
    if image.format == "TIFF" and _ORIENTATION in image.tag_v2:  # type: ignore[attr-defined]
        return None  # Pillow makes it upright itself
    exif = Image.Exif()
    # A damaged EXIF block raises as many things as a damaged image, but spoils no pixel.
    with suppress(Exception):
        exif.load(image.info.get("exif", b""))  # not image.getexif(), which decodes a PNG
        if _ORIENTATION in exif:
            return _TRANSPOSES.get(exif[_ORIENTATION])
    # EXIF comes first, as in Pillow. Of an AVIF only its own rotation counts, which Pillow returns as EXIF.
    xmp = image.info.get("xmp")
    found = XMP_ORIENTATION.search(xmp) if isinstance(xmp, bytes) and image.format != "AVIF" else None
    return _TRANSPOSES.get(int(found[1])) if found else None


def _white_is_known(image: Image.Image) -> bool:
    """False for floats, integers of 32 bits or with a sign, and grey TIFFs whose white is not 65535 (12 bits, or 0)."""
    tags: Any = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined]
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        return False
    if tags and image.mode.startswith("I;16"):
        return bool(tags.get(_BITS_PER_SAMPLE) == (16,) and tags.get(_PHOTOMETRIC) == 1)
    return image.mode not in ("I", "F")


def _is_misread(tiff: Any) -> bool:
    """Whether Pillow takes the samples of a TIFF for something else than they are.

    Uncompressed, it reads chroma with fewer samples, and tiles at the offsets of strips, as whole rows. Of planes, one
    for each channel, it loses the alpha beside grey and the signs of LAB; uncompressed, it reads each as plain 8 bits.
    """
    tags = tiff.tag_v2
    uncompressed = tags.get(_COMPRESSION, 1) == 1
    if uncompressed and tiff.mode == "YCbCr" and tags.get(_CHROMA_SUBSAMPLING, (1, 1)) != (1, 1):
        return True
    if uncompressed and _TILE_WIDTH in tags and _TILE_OFFSETS not in tags:
        return True
    if tags.get(_PLANAR_CONFIGURATION) != 2:
        return False
    if not uncompressed:
        return tiff.mode in ("LA", "La", "PA", "LAB")
    plain = tiff.mode in ("L", "RGB", "RGBA", "CMYK") and tags.get(_PHOTOMETRIC) != 0
    eight_bits = set(tags.get(_BITS_PER_SAMPLE, (1,))) == {8} and tags.get(_FILL_ORDER, 1) == 1
    return not (plain and eight_bits and _PREMULTIPLIED not in tags.get(_EXTRA_SAMPLES, ()))


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(height, width, 3), or (height, width, 1) of a 16-bit grey image, uint8."""
    if image.mode.startswith("I;16"):
        # The high byte, as Pillow keeps it of 16-bit RGB; 8 bits that were multiplied by 256 or 257 come back exactly.
        samples = np.asarray(image)
        grey = (samples >> 8).astype(np.uint8)
        if "transparency" in image.info:
            grey[samples == image.info["transparency"]] = 255
        return grey[..., np.newaxis]
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(image, mask=image)
        return np.asarray(background)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _correct_transparency(image: Image.Image, data: bytes) -> tuple[int, int, int] | None:
    """The one transparent colour of a PNG has as many bits as its samples, but Pillow compares it with 8 bits.

    It is scaled in grey of 1 to 8 bits. In 16-bit colour it is removed and returned: Pillow decodes the high bytes.
    """
    depth, colour = data[24], image.info.get("transparency")  # data starts with the signature and the chunk IHDR
    if image.mode in ("1", "L") and isinstance(colour, int):
        largest = 2**depth - 1
        image.info["transparency"] = 255 * (colour & largest) // largest
    if image.mode == "RGB" and isinstance(colour, tuple) and depth == 16:
        del image.info["transparency"]
        return colour
    return None


def _low_bytes_match(
    colour: tuple[int, int, int], data: bytes, transpose: Image.Transpose | None
) -> npt.NDArray[np.bool_]:
    """Which pixels of a 16-bit PNG, once upright, have the low bytes of this colour: (height, width)."""
    image = Image.open(_StrictFile(data), formats=["PNG"])
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]  # takes the low bytes for the high ones
    image.load()
    upright = image if transpose is None else image.transpose(transpose)
    del image
    match = np.empty((upright.height, upright.width), bool)
    for rows, strip in strips(upright):
        match[rows] = (np.asarray(strip) == np.bitwise_and(colour, 255)).all(axis=2)
    return match
