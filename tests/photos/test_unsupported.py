"""unsupported.py: healthy files of kinds that no decoder reads are 415, and damaged ones stay damaged."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
from image_files import image_file, png, png_chunk, portrait
from PIL import Image, ImageFile

from face128.errors import BadImage, UnsupportedFormat
from face128.photos.photo import open_photo

PIXELS = np.asarray(portrait()).tobytes()


@pytest.fixture(autouse=True)
def _strict_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing face_recognition, as other tests do, makes Pillow pass over the errors of its decoders."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)


def tiff(order: str = "<", *, pixels: bytes = bytes(64), **tags: int | tuple[int, ...]) -> bytes:
    """An uncompressed TIFF of 8 x 8 grey pixels, with these numbers of tags instead, or in addition."""
    numbers: dict[int, int | tuple[int, ...]] = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8}
    numbers |= {279: len(pixels)} | {int(name[1:]): value for name, value in tags.items()}
    entries, more = b"", b""
    first = 8 + len(pixels)
    end = first + 2 + 12 * len(numbers) + 4
    for tag, value in sorted(numbers.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            packed, more = struct.pack(order + "L", end + len(more)), more + packed
        entries += struct.pack(order + "HHL", tag, 3, len(values)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, first)
    return head + pixels + struct.pack(order + "H", len(numbers)) + entries + bytes(4) + more


def planes(bits: int = 8, samples: int = 3, photometric: int = 2, **tags: int | tuple[int, ...]) -> bytes:
    """An uncompressed TIFF with a plane for each channel."""
    size = 8 * bits
    strips = {"t273": tuple(8 + size * i for i in range(samples)), "t279": (size,) * samples}
    return tiff(
        pixels=bytes(samples * size), t258=(bits,) * samples, t262=photometric, t277=samples, t284=2, **strips | tags
    )


@pytest.mark.parametrize("order", "<>")
def test_the_files_of_these_tests_are_healthy(order: str) -> None:
    pixels = bytes(range(64))
    assert open_photo(tiff(order, pixels=pixels)).rgb()[..., 0].tobytes() == pixels
    assert open_photo(planes()).rgb().shape == (8, 8, 3)


TIFFS = {
    **{
        f"compression {code}": tiff(t259=code)
        for code in (6, 34661, 34677, 34712, 34887, 34892, 50001, 50002, 50003, 65000)
    },
    "16-bit LAB": tiff(t258=(16, 16, 16), t262=8, t277=3, pixels=bytes(384)),
    "ICC LAB": tiff(t258=(8, 8, 8), t262=9, t277=3, pixels=bytes(192)),
    "a mosaic of a sensor": tiff(t258=16, t262=32803, pixels=bytes(128)),
    "grey of 16 bits with alpha": tiff(t258=(16, 16), t277=2, t338=2, pixels=bytes(256)),
    "colours of 32 bits": tiff(t258=(32, 32, 32), t262=2, t277=3, pixels=bytes(768)),
    "floats of 16 bits": tiff(t258=16, t339=3, pixels=bytes(128)),
    "grey of 8 bits with a sign": tiff(t339=2),
    "palette of 16 bits": tiff(t258=16, t262=3, pixels=bytes(128)),
    "planes of 16 bits": planes(16),
    "a plane of grey whose white is 0": planes(samples=1, photometric=0),
    "planes of grey and alpha": planes(samples=2, photometric=1, t338=2),
    "planes of premultiplied colours": planes(samples=4, t338=1),
    "planes of YCbCr": planes(photometric=6),
    "planes of LAB": planes(photometric=8),
    # The file is longer than the samples: Pillow would read on behind them.
    "fewer samples of chroma": tiff(t258=(8, 8, 8), t262=6, t277=3, t279=128, t530=(2, 1), pixels=bytes(400)),
    "tiles at the offsets of strips": tiff(t279=256, t322=16, t323=16, pixels=bytes(400)),
    "big-endian BigTIFF": b"MM\0+\0\x08\0\0" + struct.pack(">QQ", 16, 0) + bytes(99),
}


@pytest.mark.parametrize("data", TIFFS.values(), ids=TIFFS)
def test_a_tiff_that_pillow_has_no_mode_or_codec_for_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        open_photo(data).rgb()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_planes_that_pillow_misreads_are_unsupported(compression: str) -> None:
    data = image_file("TIFF", portrait().convert("LA"), compression=compression)
    entry = data.index(struct.pack("<HHL", 284, 3, 1))
    with pytest.raises(UnsupportedFormat):
        open_photo(data[: entry + 8] + struct.pack("<H", 2) + data[entry + 10 :])


def bmp(bits: int, compression: int, *masks: int, header: int = 56) -> bytes:
    """8 x 8 black pixels."""
    info = struct.pack("<LllHHLLllLL", header, 8, 8, 1, bits, compression, 0, 0, 0, 0, 0)
    info += struct.pack(f"<{len(masks)}L", *masks)
    head = b"BM" + struct.pack("<LHHL", 0, 0, 0, 14 + max(header, len(info)))
    return head + info.ljust(header, b"\0") + bytes(8 * 8 * max(bits, 8) // 8)


BMPS = {
    "RGBX": bmp(32, 3, 0xFF, 0xFF00, 0xFF0000),
    "10 bits a channel": bmp(32, 3, 0x3FF00000, 0xFFC00, 0x3FF),
    "4 bits a channel, and alpha": bmp(16, 3, 0xF00, 0xF0, 0xF, 0xF000),
    "bit fields with alpha": bmp(32, 6, 0xFF0000, 0xFF00, 0xFF, 0xFF000000, header=40),
    "a JPEG": bmp(0, 4),
    "a PNG": bmp(0, 5),
    "64 bits": bmp(64, 0),
    "2 bits": bmp(2, 0),
    "CMYK": bmp(32, 11),
}


@pytest.mark.parametrize("data", BMPS.values(), ids=BMPS)
def test_a_bmp_of_a_rare_kind_is_unsupported(data: bytes) -> None:
    assert open_photo(bmp(32, 3, 0xFF0000, 0xFF00, 0xFF)).rgb().tobytes() == bytes(192)
    with pytest.raises(UnsupportedFormat):
        open_photo(data).rgb()


@pytest.mark.parametrize("data", [bmp(30000, 0), bmp(24, 77), bmp(24, 3, 0xFF0000, 0xFF00, 0xFF)[:60]])
def test_a_damaged_bmp_is_a_bad_image(data: bytes) -> None:
    with pytest.raises(BadImage):
        open_photo(data).rgb()


@pytest.mark.parametrize("length", range(15, 60))
def test_a_bmp_that_is_cut_in_its_header_is_a_bad_image(length: int) -> None:
    with pytest.raises(BadImage):
        open_photo(image_file("BMP", portrait())[:length]).rgb()


@pytest.mark.parametrize("codec", [b"unci", b"j2k1", b"jpeg", b"avc1", b"vvc1", b"av01"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_heif_of_another_codec_is_unsupported(codec: bytes, version: int) -> None:
    data = image_file("HEIC", portrait())
    infe = re.search(rb"infe\x02.{7}hvc1", data, re.DOTALL)
    assert infe
    entry = infe[0][:-4] + codec
    if version == 3:
        entry = b"infe\3" + bytes(9) + codec  # two bytes longer, so that the file around it is damaged as well
    with pytest.raises(UnsupportedFormat):
        open_photo(data.replace(infe[0], entry)).rgb()


@pytest.mark.parametrize("box", [b"moov", b"mini"])
@pytest.mark.parametrize("brand", [b"msf1", b"avif"])
def test_a_sequence_or_a_short_header_that_is_not_read_is_unsupported(box: bytes, brand: bytes) -> None:
    def boxed(name: bytes, content: bytes) -> bytes:
        return struct.pack(">L", 8 + len(content)) + name + content

    with pytest.raises(UnsupportedFormat):
        open_photo(boxed(b"ftyp", brand + bytes(4)) + boxed(box, bytes(100)))
    with pytest.raises(BadImage):
        open_photo(boxed(b"ftyp", brand + bytes(4)) + boxed(b"free", box * 25))


def jpeg_with(code: int = 0xC0, precision: int = 8, components: int | None = None) -> bytes:
    data = bytearray(image_file("JPEG", portrait()))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = code, precision
    if components:
        data[frame + 9] = components
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        *(jpeg_with(0xC1, 12), jpeg_with(0xC2, 12), jpeg_with(0xC3, 16), jpeg_with(0xC5), jpeg_with(0xF7)),
        jpeg_with(components=2),
    ],
    ids=["extended, 12 bits", "progressive, 12 bits", "lossless, 16 bits", "hierarchical", "JPEG-LS", "two components"],
)
def test_a_jpeg_of_a_rare_kind_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        open_photo(data).rgb()


def test_apples_own_kind_of_png_is_unsupported() -> None:
    data = png(1, 1, 8, 2, bytes(4))
    with pytest.raises(UnsupportedFormat):
        open_photo(data[:8] + png_chunk(b"CgBI", bytes(4)) + data[8:])


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_tiff_that_is_cut_is_damaged_and_not_unsupported(options: dict[str, str]) -> None:
    data = image_file("TIFF", portrait(), **options)
    damaged = 0
    for length in range(20, len(data) - 1, len(data) // 40):
        try:
            open_photo(data[:length]).rgb()  # libtiff writes tags behind the pixels that they are read without
        except BadImage:
            damaged += 1
    assert damaged > 15


def test_the_kinds_beside_them_are_read() -> None:
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "tiff_lzma"):
        file = io.BytesIO()
        try:
            portrait().save(file, "TIFF", compression=compression)
        except (OSError, KeyError):
            continue  # of a codec that this libtiff lacks
        assert open_photo(file.getvalue()).rgb().tobytes() == PIXELS
    assert np.array_equal(
        open_photo(image_file("TIFF", Image.fromarray(np.uint16([[0, 65535]])))).rgb()[0, :, 0], [0, 255]
    )
