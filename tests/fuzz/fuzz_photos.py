"""The targets fuzz_photos:JPEG and so on: small photos in many formats, and the check of a damaged one."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import icc_profiles
import numpy as np
from image_files import exif, image_file, portrait
from mutating import Mutator
from PIL import Image

from face128.errors import BadImage, TooLarge, UnsupportedFormat
from face128.photos.photo import SHRINKS, Limits, open_photo

WIDTH, HEIGHT = 61, 47  # rare numbers, which only occur in a file as its size
FIELDS = [number.to_bytes(size, order) for number in (WIDTH, HEIGHT) for size in (2, 4) for order in ("big", "little")]
LIMITS = Limits(max_pixels=16_000_000)
"""Below the default: decoding 50 megapixels may take two seconds."""
ALLOWED = (BadImage, TooLarge, UnsupportedFormat)
"""The errors that a damaged photo may raise; the last one only when it is opened."""

ISO = b"ftyp meta hdlr pitm iloc iinf infe iprp ipco ispe pixi ipma mdat idat iref dimg auxl irot imir clap colr grid"
TOKENS: dict[str, list[bytes]] = {
    "JPEG": [bytes([0xFF, code]) for code in (0xC0, 0xC1, 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE)]
    + [b"JFIF\0", b"Exif\0\0", b"Adobe", b"ICC_PROFILE\0", b"MM\0*", b"\xff\xd0", b"\x01\x12"],
    "PNG": b"IHDR PLTE tRNS IDAT IEND eXIf iCCP gAMA cHRM sRGB cICP acTL fcTL fdAT zTXt".split(),
    "WEBP": [b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP", b"\x9d\x01\x2a"],
    "GIF": [b"GIF87a", b"GIF89a", b"!\xf9\x04", b",", b";", b"!\xff\x0bNETSCAPE2.0", b"!\xfe"],
    "BMP": [b"BM", *(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 108, 124)), b"\0\x01", b"\0\0", b"\0\x02"],
    "TIFF": [b"II*\0", b"MM\0*", b"II+\0"] + [tag.to_bytes(2, "little") for tag in (
        *range(254, 285), 296, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347, 529, 530, 532, 34665)],
    "AVIF": [*ISO.split(), b"avif", b"avis", b"av01", b"av1C", b"moov", b"trak", b"stbl", b"stsz"],
    "HEIC": [*ISO.split(), b"heic", b"mif1", b"hvc1", b"hvcC", b"moov", b"\0\0\0\x01", b"Exif"],
}  # fmt: skip


def seeds(name: str) -> list[bytes]:
    photo = portrait(WIDTH, HEIGHT)
    turned: dict[str, Any] = {"exif": exif(6)}
    more = [photo.rotate(angle) for angle in (90, 180)]
    grey, palette, bits = photo.convert("L"), photo.quantize(16), photo.convert("1")
    clear = photo.convert("RGBA")
    clear.putalpha(grey)
    frames: dict[str, Any] = {"save_all": True, "append_images": more}
    kinds: dict[str, list[tuple[Image.Image, dict[str, Any]]]] = {
        "JPEG": [(photo, turned), (photo, {"quality": 60, "subsampling": 2, "progressive": True}), (grey, {}),
                 (photo.convert("CMYK"), {}), (photo, {"restart_marker_rows": 1, "optimize": True})],
        "PNG": [(photo, turned), (palette, {"transparency": 3}), (bits, {}), (grey.convert("LA"), {}), (clear, frames),
                (Image.fromarray(grey_16(grey)), {})],
        "WEBP": [(photo, turned), (photo, {"lossless": False}), (clear, {"lossless": False}), (clear, frames)],
        "GIF": [(photo, {}), (palette, {"transparency": 2, "interlace": 0}), (bits, {}), (photo, frames)],
        "BMP": [(photo, {}), (palette, {}), (bits, {}), (clear, {})],
        "TIFF": [(photo, turned), (photo, {"compression": "tiff_lzw"}), (photo, {"compression": "jpeg"}),
                 (clear, {"compression": "tiff_adobe_deflate"}), (bits, {"compression": "group4"}), (photo, frames),
                 (palette, {"compression": "packbits"}), (photo.convert("CMYK"), {}), (photo, {"big_tiff": True}),
                 (Image.fromarray(grey_16(grey)), {}), (photo.convert("YCbCr"), {"compression": "tiff_lzw"})],
        "AVIF": [(photo, turned), (photo, {"quality": 50, "subsampling": "4:2:0"}), (clear, {}), (grey, frames)],
        "HEIC": [(photo, {}), (photo, {"quality": 40, "chroma": 420}), (clear, {}), (grey, {})],
    }  # fmt: skip
    profiles = {"JPEG": icc_profiles.SCANNER, "PNG": icc_profiles.FOUR_STAGES, "WEBP": icc_profiles.TABLE_CURVES}
    coloured = [image_file(name, photo, icc_profile=profiles[name])] if name in profiles else []
    return coloured + [image_file(name, image, **options) for image, options in kinds[name]]


def grey_16(grey: Image.Image) -> Any:
    return np.asarray(grey).astype(np.uint16) * 257


def check(data: bytes) -> str:
    """Decode it at every scale, and as a browser does; returns the outcome, raises any error that is not ALLOWED."""
    try:
        photo = open_photo(data, LIMITS)
    except ALLOWED as error:
        return error.code
    outcome = "read"
    for shrink in SHRINKS:
        try:
            shape = photo.rgb(shrink).shape
        except ALLOWED[:2] as error:
            outcome = f"{error.code} pixels"
        else:
            assert shape == (-(-photo.height // shrink), -(-photo.width // shrink), 3)
    with suppress(*(() if outcome == "read" else ALLOWED[:2])):
        drawn = open_photo(data, LIMITS, "browser")
        assert drawn.rgb().shape == (drawn.height, drawn.width, 3)
    return outcome


def with_valid_checksums(data: bytes) -> bytes:
    """The PNG with corrected checksums, so that a decoder gets as far as the damage."""
    at, out = 8, bytearray(data[:8])
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(out)


def prepare(name: str) -> Callable[[random.Random], str]:
    mutator = Mutator(seeds(name), TOKENS[name], FIELDS)

    def case(dice: random.Random) -> str:
        data = mutator(dice)
        return check(with_valid_checksums(data) if name == "PNG" and dice.random() < 0.8 else data)

    return case
