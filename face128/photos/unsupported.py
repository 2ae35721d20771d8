"""Tells a healthy file of a kind that these decoders lack from a damaged file.

It is asked after a decoder has failed: nothing is refused here that a decoder reads.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Literal

from PIL import Image, UnidentifiedImageError

# The types of the items in a HEIF or AVIF (ISO/IEC 14496-12, 8.11.6): decoded ones, and those without pixels of theirs.
_ITEM_TYPE = re.compile(rb"(?s)infe(?:\x02.{7}|\x03.{9})([a-zA-Z0-9]{4})")
_DECODED_ITEMS = {"HEIC": b"hvc1", "AVIF": b"av01"}
_OTHER_ITEMS = {b"grid", b"iden", b"iovl", b"tmap", b"Exif", b"mime", b"rgan", b"mski"}
_MAX_BOXES = 100  # at the top of a file

_BITS_PER_SAMPLE, _COMPRESSION = 258, 259
# Width, height, photometric interpretation. A TIFF that is cut before one of them is damaged.
_REQUIRED_TIFF_TAGS = {256, 257, _BITS_PER_SAMPLE, 262}
_TIFF_NUMBER_BYTES = {3: 2, 4: 4}
_BIG_TIFF = ord("+")
# Those that Pillow's libtiff decodes.
_TIFF_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}

_JPEG_SEGMENT = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_MAX_JPEG_SEGMENTS = 1000
_JPEG_NO_FRAMES = {0xC4, 0xC8, 0xCC}
_JPEG_LS = 0xF7
# Baseline, extended and progressive; and the numbers of channels: grey, YCbCr or RGB, CMYK.
_JPEG_FRAMES, _JPEG_COMPONENTS = {0xC0, 0xC1, 0xC2}, {1, 3, 4}
_START_OF_SCAN = 0xDA

# Bits a pixel, and compressions, that a BMP may have; and what Pillow decodes of them.
_BMP_BITS, _BMP_COMPRESSIONS = {0, 1, 2, 4, 8, 16, 24, 32, 64}, {*range(7), 11, 12, 13}
_BMP_BITS_DECODED, _BMP_COMPRESSIONS_DECODED, _BMP_BITFIELDS = {1, 4, 8, 16, 24, 32}, {0, 1, 2, 3}, 3


def is_unsupported_kind(image_format: str, data: bytes) -> bool:
    """Whether a file that was not decoded is of a kind that the decoders lack. If not, it is damaged."""
    tests: dict[str, Callable[[bytes], bool]] = {
        "AVIF": partial(_is_other_heif, decoded=_DECODED_ITEMS["AVIF"]),
        "HEIC": partial(_is_other_heif, decoded=_DECODED_ITEMS["HEIC"]),
        "TIFF": _is_other_tiff,
        "JPEG": _is_other_jpeg,
        "BMP": _is_other_bmp,
    }
    try:
        return image_format in tests and tests[image_format](data)
    except Exception:  # a damaged file raises as many things here as in a decoder
        return False


def _is_other_heif(data: bytes, decoded: bytes) -> bool:
    """Another codec than ``decoded``; or no list of items, as in a film, or in a file with the short header."""
    items = set(_ITEM_TYPE.findall(data)) - _OTHER_ITEMS
    if items:
        return items != {decoded}
    boxes: list[bytes] = []
    position = 0
    while position + 8 <= len(data) and len(boxes) < _MAX_BOXES:
        length, name = struct.unpack_from(">I4s", data, position)
        boxes.append(name)
        position += max(length, 8)
    return b"meta" not in boxes and (b"moov" in boxes or b"mini" in boxes)


def _is_other_tiff(data: bytes) -> bool:
    """A compression that libtiff was built without, samples for which Pillow has no mode, or a big-endian BigTIFF."""
    if data.startswith(b"MM\0+"):
        return True
    entries = _tiff_entries(data)
    if not entries.keys() >= _REQUIRED_TIFF_TAGS:
        return False
    if entries.get(_COMPRESSION, 1) not in _TIFF_COMPRESSIONS:
        return True
    try:
        Image.open(io.BytesIO(data), formats=["TIFF"])
    except UnidentifiedImageError:
        return True
    return False


def _tiff_entries(data: bytes) -> dict[int, int]:
    """The tags of the first picture that lie within the file, with their first number or its place.

    Not by Pillow, which also reads what each tag points to: thousands of tags may point to the same megabytes.
    """
    byte_order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    order = "<" if byte_order == "little" else ">"
    header, counter, entry = ("8xQ", "Q", "HHQ8s") if data[2] == _BIG_TIFF else ("4xL", "H", "HHL4s")
    place = struct.unpack_from(order + header, data)[0]
    entry_count = struct.unpack_from(order + counter, data, place)[0]
    place += struct.calcsize(order + counter)
    directory = data[place : place + entry_count * struct.calcsize(order + entry)]
    entries = {}
    for tag, number_type, count, field in struct.iter_unpack(order + entry, directory):
        number_bytes = _TIFF_NUMBER_BYTES.get(number_type, 1)
        inside = count * number_bytes <= len(field)
        if inside or int.from_bytes(field, byte_order) + count * number_bytes <= len(data):
            entries[tag] = int.from_bytes(field[:number_bytes] if inside else field, byte_order)
    return entries


def _is_other_jpeg(data: bytes) -> bool:
    """JPEG-LS, lossless, hierarchical, arithmetic-coded; another depth than 8 bits; two components, or more than 4."""
    position = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_SEGMENT.search(data, position)
        if marker is None or marker[1][0] == _START_OF_SCAN:
            break
        code, start = marker[1][0], marker.end()
        if code == _JPEG_LS or (code < 0xD0 and code not in _JPEG_NO_FRAMES):
            return code not in _JPEG_FRAMES or data[start + 2] != 8 or data[start + 7] not in _JPEG_COMPONENTS
        position = start + int.from_bytes(data[start : start + 2], "big")
    return False


def _is_other_bmp(data: bytes) -> bool:
    """A JPEG or PNG in a BMP, another depth, or bit fields of sizes or in an order that Pillow does not know."""
    if int.from_bytes(data[14:18], "little") == 12:
        bits, compression = struct.unpack_from("<H", data, 24)[0], 0
    else:
        bits, compression = struct.unpack_from("<HI", data, 28)
    if bits not in _BMP_BITS or compression not in _BMP_COMPRESSIONS:
        return False
    if bits not in _BMP_BITS_DECODED or compression not in _BMP_COMPRESSIONS_DECODED:
        return True
    try:
        Image.open(io.BytesIO(data), formats=["BMP"])
    except OSError as error:
        return compression == _BMP_BITFIELDS and "bitfields" in str(error)
    return False
