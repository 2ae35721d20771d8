"""Finds what an image file says about the colours of its pixels, and gives their conversion to sRGB as Chrome does it.

ICC profiles of JPEG, PNG, WebP, AVIF, HEIC and TIFF; PNG's cICP, gAMA and cHRM; the code points of AVIF and HEIC.
Whatever is damaged, too large or for another kind of pixels is ignored.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from face128.photos.canvas.colour_space import PNG_UNIT, ColourSpace, cicp_conversion
from face128.photos.canvas.conversions import Conversion
from face128.photos.canvas.icc_profile import MAX_PROFILE_BYTES, IccProfile

_MAX_SEGMENTS = 1000
_JPEG_SEGMENT = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_START_OF_SCAN, _APP2 = 0xDA, 0xE2
_ICC_SIGNATURE = b"ICC_PROFILE\0"
_PNG_COLOUR_CHUNKS = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP")
# A colr box with code points (ISO/IEC 14496-12, 12.1.5).
_CODE_POINTS = re.compile(rb"(?s)colrnclx(.{2})(.{2})")
_SRGB_LIKE_GAMMA, _GAMMA_TOLERANCE = 2.2, 0.05


def embedded_colour(image_format: str, data: bytes) -> bytes | dict[bytes, bytes]:
    """What a JPEG or a PNG says, which trimming takes away: its ICC profile, or its chunks; empty for other formats."""
    finders: dict[str, Callable[[bytes], bytes | dict[bytes, bytes]]] = {"JPEG": _jpeg_profile, "PNG": _png_chunks}
    return finders[image_format](data) if image_format in finders else b""


def conversion_to_srgb(
    image_format: str, image: Image.Image, found: bytes | dict[bytes, bytes], data: bytes
) -> Conversion | None:
    """The conversion of an opened image's RGB pixels; ``found`` is what embedded_colour returned for it."""
    if isinstance(found, dict):
        return _png_conversion(found, image.mode)
    icc = found or image.info.get("icc_profile") or b""
    profile = IccProfile.parse(icc) if isinstance(icc, bytes) else None
    if profile is not None:
        return _profile_conversion(profile, image.mode)
    code_points = _CODE_POINTS.search(data) if image_format in ("AVIF", "HEIC") else None
    if code_points is None:
        return None
    return cicp_conversion(*(int.from_bytes(number, "big") for number in code_points.groups()))[1]


def _profile_conversion(profile: IccProfile, mode: str) -> Conversion | None:
    """A profile for another kind of pixels is ignored; one for RGB is also good for grey."""
    if mode == "CMYK":
        return profile.to_srgb() if profile.space == "CMYK" else None
    is_grey = mode in ("1", "L", "LA", "La") or mode.startswith("I;16")
    return profile.to_srgb() if profile.space == "RGB" or (profile.space == "GRAY" and is_grey) else None


def _jpeg_profile(data: bytes) -> bytes:
    """The profile of a JPEG, in numbered parts (ICC.1:2022, B.4); empty if a part is missing or there twice."""
    parts: dict[int, bytes] = {}
    counts = set()
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _JPEG_SEGMENT.search(data, position)
        if marker is None or marker[1][0] == _START_OF_SCAN:
            break
        start = marker.end()
        position = start + int.from_bytes(data[start : start + 2], "big")
        if marker[1][0] == _APP2 and data.startswith(_ICC_SIGNATURE, start + 2):
            body = data[start + 2 + len(_ICC_SIGNATURE) : position]
            if len(body) < 2 or body[0] in parts:
                return b""
            parts[body[0]] = body[2:]
            counts.add(body[1])
    if counts != {len(parts)} or set(parts) != set(range(1, len(parts) + 1)):
        return b""
    return b"".join(parts[number] for number in sorted(parts))


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """The first of each chunk about colours before the pixels."""
    chunks: dict[bytes, bytes] = {}
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        if name == b"IDAT" or end + 4 > len(data):
            break
        if name in _PNG_COLOUR_CHUNKS and zlib.crc32(data[position + 4 : end]) == _number(data[end : end + 4]):
            chunks.setdefault(name, data[position + 8 : end])
        position = end + 4
    return chunks


def _png_conversion(chunks: dict[bytes, bytes], mode: str) -> Conversion | None:
    """In the order of precedence of Skia's codec (SkPngRustCodec.cpp, CreateColorProfile)."""
    code_points = chunks.get(b"cICP", b"")
    if len(code_points) == 4 and code_points[2:] == b"\0\1":
        known, conversion = cicp_conversion(*code_points[:2])
        if known:
            return conversion
    profile = IccProfile.parse(_unpacked_profile(chunks.get(b"iCCP", b"")))
    if profile is not None:
        return _profile_conversion(profile, mode)
    inverse_gamma = _number(chunks.get(b"gAMA", b"")[:4])
    if b"sRGB" in chunks or not inverse_gamma:
        return None
    gamma = float(np.float32(1) / (np.float32(inverse_gamma) * PNG_UNIT))
    chromaticities = chunks.get(b"cHRM", b"")
    if len(chromaticities) == 32:
        space = ColourSpace.of_primaries(gamma, struct.unpack(">8I", chromaticities))
        return space.to_srgb() if space else None
    if abs(_SRGB_LIKE_GAMMA / gamma - 1) < _GAMMA_TOLERANCE:
        return None
    return ColourSpace.of_srgb_primaries(gamma).to_srgb()


def _unpacked_profile(chunk: bytes) -> bytes:
    """The profile in an iCCP chunk; empty if it is damaged, or larger than MAX_PROFILE_BYTES."""
    _, _, packed = chunk.partition(b"\0")
    unpacker: Any = zlib.decompressobj()
    try:
        profile: bytes = unpacker.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if unpacker.eof else b""


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
