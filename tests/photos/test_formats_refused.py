"""Pillow opens the supported formats and no others."""

from __future__ import annotations

import io
from functools import partial

import pytest
from image_files import portrait
from PIL import Image

from face128.errors import UnsupportedFormat
from face128.photos.photo import open_photo

Image.init()  # load every plugin
SUPPORTED = {"JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"}
OTHERS = sorted((set(Image.OPEN) | set(Image.SAVE) | set(Image.SAVE_ALL)) - SUPPORTED)

# First bytes of formats that Pillow reads but does not write.
FIRST_BYTES = {
    "BUFR": b"BUFR\0\0\0\4",
    "CUR": b"\0\0\2\0\1\0",
    "DCX": b"\xb1\x68\xde\x3a",
    "DDS": b"DDS " + bytes([124, 0, 0, 0]),
    "FITS": b"SIMPLE  =                    T",
    "FLI": bytes([0, 1, 0, 0, 0x12, 0xAF, 1, 0, 16, 0, 16, 0, 8, 0, 3, 0]),
    "FPX": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "FTEX": b"FTEX" + bytes(28),
    "GBR": bytes([0, 0, 0, 28, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]) + b"GIMP" + bytes(8),
    "GRIB": b"GRIB\0\0\0\1",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "IMT": b"width 16\nheight 16\n\x0c",
    "IPTC": b"\x1c\x03\x0a\x00\x02",
    "MCIDAS": b"\0\0\0\0\0\0\0\4",
    "MIC": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "MPEG": b"\0\0\1\xb3\x01\x00\x10",
    "PCD": b"PCD_" * 600,
    "PIXAR": b"\200\350\000\000",
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x10\0\0\0\x10\0\x08\0\3",
    "QOI": b"qoif\0\0\0\x10\0\0\0\x10\3\0",
    "SUN": b"\x59\xa6\x6a\x95",
    "WAL": bytes(100),
    "WMF": b"\xd7\xcd\xc6\x9a\0\0",
    "XPM": b"/* XPM */",
    "XVTHUMB": b"P7 332",
}


def a_file(name: str) -> bytes | None:
    if name in Image.SAVE:
        for image in (portrait(64, 64).convert(mode) for mode in ("RGB", "L", "1", "P")):
            file = io.BytesIO()
            try:
                image.save(file, name)
            except (OSError, ValueError, KeyError, RuntimeError):
                continue
            return file.getvalue()
    return FIRST_BYTES[name] + bytes(2000) if name in FIRST_BYTES else None


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_format_is_refused_and_its_plugin_never_called(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = a_file(name)
    assert data is not None, "a new format of Pillow: add its first bytes to FIRST_BYTES"
    called = []
    for other, (_, accept) in list(Image.OPEN.items()):
        if other not in SUPPORTED:
            trap = partial(called.append, other)
            monkeypatch.setitem(
                Image.OPEN, other, (lambda *_, trap=trap: trap(), accept and (lambda _, trap=trap: trap()))
            )
    with pytest.raises(UnsupportedFormat):
        open_photo(data)
    assert called == []
