"""Image files for the tests, written from the photos in fixtures/ when they are needed."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pillow_heif
from paths import FIXTURES
from PIL import Image

PHOTOS = sorted((FIXTURES / "photos").glob("*.*g"))

# Options that write each format with the least loss.
BEST_QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "MPO": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "GIF": {},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIC": {"quality": -1, "chroma": 444},
}


def portrait(width: int = 120, height: int = 62) -> Image.Image:
    """A real photo, scaled down, RGB."""
    return Image.open(PHOTOS[0]).convert("RGB").resize((width, height))


def image_file(image_format: str, image: Image.Image, **options: Any) -> bytes:
    """An image file in this format, written with BEST_QUALITY and ``options``."""
    file = io.BytesIO()
    options = BEST_QUALITY[image_format] | options
    if image_format == "HEIC":
        # Not from_pillow: it rotates the pixels by the EXIF orientation.
        pillow_heif.encode(image.mode, image.size, image.tobytes(), file, **options)
    else:
        image.save(file, image_format, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """An EXIF block with this orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG from its parts: ``rows`` with a filter byte each, ``extra`` chunks between header and pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, payload) for name, payload in chunks)


def png_chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))
