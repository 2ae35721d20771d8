"""Before an image file is decoded: detects its format, and removes what the first frame does not need.

Pillow reads everything in a file: profiles, texts, comments, previews, later frames. None of it affects the pixels of
the first frame, but a small file can so take hundreds of megabytes or minutes. So JPEG, PNG and GIF, which Pillow
parses in Python, are trimmed to pixels and orientation before Pillow reads them.
"""

from __future__ import annotations

import re
import zlib
from contextlib import suppress

from face128.errors import BadImage, UnsupportedFormat

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WEBP": rb"(?s)RIFF.{4}WEBP",
    # The sizes of its headers: 12 to 124 bytes. A file that is cut within this number is a BMP as well.
    "BMP": rb"(?s)BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c](?:\0\0\0|\0{0,2}\Z)",
}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

_IMAGE_SPATIAL_EXTENTS = re.compile(rb"(?s)ispe\0{4}(.{4})(.{4})")  # ISO/IEC 23008-12, 6.5.3

_MAX_JPEG_SEGMENTS = 1000
# A progressive JPEG has about ten scans. Each costs a pass over the whole picture (50 ms at 50 megapixels) even if it
# has few bytes: a file of 12 MB could keep a decoder busy for more than an hour. Hence limits on the scans, and on the
# pixels of all scans together: 20 scans at 50 megapixels, a second's work.
_MAX_JPEG_SCANS = 100
_MAX_JPEG_SCANNED_PIXELS = 10**9
_MAX_COUNTED_PIXELS = 50_000_000  # a larger picture is refused as too large, not as damaged
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI, _COMMENT = 0xDA, 0xD9, 0xFE
# Not a stuffed byte, a restart, a fill byte or the start of an image.
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
# The application data that pixels (their colour transform) and orientation depend on.
_JPEG_APPS = {0xE0: (b"JFIF\0",), 0xE1: (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"), 0xEE: (b"Adobe",)}

_PNG_CHUNKS = (b"IHDR", b"eXIf", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_MAX_XMP_BYTES = 2**20

XMP_ORIENTATION = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])(?![0-9])""")
"""In XMP, as an attribute or as an element. The number is EXIF's."""


def sniff(data: bytes) -> str | None:
    """The format by the file's signature: Pillow's name for it, or "HEIC"; None for any other."""
    for image_format, signature in _SIGNATURES.items():
        if re.match(signature, data):
            return image_format
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 1024)]
        brands = {box[i : i + 4] for i in range(0, len(box), 4)}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIC_BRANDS:
            return "HEIC"
    return None


def largest_claimed_pixels(data: bytes) -> int:
    """Of the pictures in an AVIF or HEIC: libavif and libheif refuse one beyond their own limits as they do damage."""
    sizes = _IMAGE_SPATIAL_EXTENTS.findall(data)
    return max((int.from_bytes(width, "big") * int.from_bytes(height, "big") for width, height in sizes), default=0)


def trim(image_format: str, data: bytes) -> bytes:
    """A JPEG, PNG or GIF with only what its first frame's pixels and orientation need; any other file unchanged.

    Raises BadImage for a damaged file, IndexError for a GIF that ends too early.
    """
    trimmer = {"JPEG": _trim_jpeg, "PNG": _trim_png, "GIF": _trim_gif}.get(image_format)
    return trimmer(data) if trimmer else data


def _trim_jpeg(data: bytes) -> bytes:
    kept = [data[:2]]
    position = 2
    code = scans = pixels = 0
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.search(data, position)
        start = marker.start() if marker else len(data)
        if code == _SOS:
            kept.append(data[position:start])
        if marker is None or marker[1][0] == _EOI:
            # If the end marker is missing, the decoder judges whether the picture is complete.
            return b"".join([*kept, data[start : start + 2]])
        code = marker[1][0]
        position = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if code in _JPEG_FRAMES:
            height, width = (int.from_bytes(data[start + at : start + at + 2], "big") for at in (5, 7))
            pixels = max(pixels, min(height * width, _MAX_COUNTED_PIXELS))
        scans += code == _SOS
        if scans > _MAX_JPEG_SCANS or scans * pixels > _MAX_JPEG_SCANNED_PIXELS:
            break
        is_app = 0xE0 <= code <= 0xEF
        wanted = code in _JPEG_APPS and data.startswith(_JPEG_APPS[code], start + 4) if is_app else code != _COMMENT
        if wanted:
            kept.append(data[start:position])
    raise BadImage("The JPEG has more segments or scans than a photo has.")


def _trim_png(data: bytes) -> bytes:
    if data[12:16] == b"CgBI":
        raise UnsupportedFormat("This is Apple's own kind of PNG, of apps. Save the photo as a JPEG or PNG.")
    chunks: dict[bytes, bytearray] = {}
    position = 8
    while b"IEND" not in chunks:
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            raise BadImage("The PNG is truncated.")
        name = data[position + 4 : position + 8]
        if name in _PNG_CHUNKS:
            if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise BadImage("The PNG is damaged.")
            chunks.setdefault(name, bytearray()).extend(data[position + 8 : end])
        elif name == b"iTXt" and data.startswith(_XMP_KEYWORD, position + 8):
            chunks.setdefault(name, _xmp_orientation(data[position + 8 : end]))
        position = end + 4
    return data[:8] + b"".join(
        _png_chunk(name, chunks[name]) for name in (b"IHDR", b"iTXt", *_PNG_CHUNKS[1:]) if name in chunks
    )


def _xmp_orientation(text_chunk: bytes) -> bytearray:
    """An iTXt chunk with nothing but the orientation of its XMP, of which at most _MAX_XMP_BYTES are unpacked."""
    flags, text = text_chunk[len(_XMP_KEYWORD) :][:2], text_chunk[len(_XMP_KEYWORD) + 2 :].split(b"\0", 2)[-1]
    if flags[:1] == b"\1":
        with suppress(zlib.error):
            text = zlib.decompressobj().decompress(text, _MAX_XMP_BYTES)
    found = XMP_ORIENTATION.search(text)
    return bytearray(_XMP_KEYWORD + bytes(4) + (found[0] if found else b""))


def _png_chunk(name: bytes, payload: bytearray) -> bytes:
    body = name + payload
    return len(payload).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _trim_gif(data: bytes) -> bytes:
    flags = data[10]
    header = data[: 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)]
    control = b""
    position = len(header)
    while data[position] == ord("!"):
        start = position
        position += 2
        while data[position]:
            position += 1 + data[position]
        position += 1
        if data[start + 1 : start + 3] == b"\xf9\x04":
            # Only the transparency is kept: disposal matters to later frames, and makes Pillow fill a whole frame.
            control = bytes([*b"!\xf9\x04", data[start + 3] & 1, 0, 0, data[start + 6], 0])
    return header + control + data[position:]
