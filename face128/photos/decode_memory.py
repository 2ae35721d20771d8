"""How much memory the decoding of a photo takes at most, by its format and its size.

The constants are the rise of the resident memory at 11 megapixels, the highest over each format's modes, depths, chroma
samplings, interlacing, strips, alpha and rotations, rounded up: tests/photos/test_decode_memory.py measures it.
"""

from __future__ import annotations

import re

BYTES_A_PIXEL = {"JPEG": 9, "PNG": 9, "GIF": 9, "BMP": 9, "TIFF": 13, "WEBP": 17, "AVIF": 13, "HEIC": 13}
"""What ``codecs.decode`` takes at its peak, its result included."""
DEEP_BYTES_A_PIXEL = 20
"""The same of AVIF and HEIC with more than 8 bits."""
KEPT_BYTES_A_PIXEL = 5
"""What stays while faces are searched: RGB, grey, and the grey at half the size and less."""
COEFFICIENT_BYTES_A_PIXEL = 8
"""Of a JPEG with several scans: libjpeg keeps two bytes for each of up to four samples, whatever the shrink."""
JPEG_OUTPUT_BYTES_A_PIXEL = 5
"""What libjpeg writes to beside them."""
CANVAS_BYTES_A_PIXEL = 4
"""What a canvas takes besides: alpha, and a copy without it."""
CONVERSION_BYTES = 24 * 2**20
"""Of colours to sRGB, for a strip at a time."""
BASE_BYTES = 12 * 2**20
"""For the header, and what does not depend on the size."""

_START_OF_SCAN = b"\xff\xda"
# The byte of a configuration box that has the depth, and the bits of it that are 0 with 8 bits a sample: AV1 Codec ISO
# Media File Format Binding, 2.3.3; ISO/IEC 14496-15, 8.3.3.1.
_DEPTHS = ((re.compile(rb"av1C..(.)", re.DOTALL), 0x40), (re.compile(rb"hvcC.{17}(.)", re.DOTALL), 0x07))


def decode_bytes(image_format: str, data: bytes, pixel_count: int, shrink: int = 1) -> int:
    """For ``codecs.decode`` with the same arguments, of a photo with so many pixels at full size."""
    shrunk = pixel_count // shrink**2
    if image_format == "JPEG" and data.count(_START_OF_SCAN) > 1:
        needed = COEFFICIENT_BYTES_A_PIXEL * pixel_count + JPEG_OUTPUT_BYTES_A_PIXEL * shrunk
    elif image_format in ("AVIF", "HEIC") and _is_deep(data):
        needed = DEEP_BYTES_A_PIXEL * pixel_count
    else:
        needed = BYTES_A_PIXEL[image_format] * shrunk
    return BASE_BYTES + needed


def canvas_decode_bytes(image_format: str, data: bytes, pixel_count: int, shrink: int = 1) -> int:
    """For ``canvas.drawing.draw`` with the same arguments; it knows no shrink."""
    assert shrink == 1
    needed = decode_bytes(image_format, data, pixel_count)
    return needed + CONVERSION_BYTES + CANVAS_BYTES_A_PIXEL * pixel_count


def _is_deep(data: bytes) -> bool:
    found = [byte[0] & bits for pattern, bits in _DEPTHS for byte in pattern.findall(data)]
    return any(found) or not found
