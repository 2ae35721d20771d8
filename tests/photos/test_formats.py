"""formats.py: the format of a file, and that trimmed parts never reach Pillow."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import face_recognition
import numpy as np
import pytest
from image_files import BEST_QUALITY, PHOTOS, exif, image_file, png, png_chunk, portrait
from PIL import Image

from face128.errors import BadImage, UnsupportedFormat
from face128.photos.formats import sniff, trim
from face128.photos.photo import open_photo


@pytest.mark.parametrize("name", BEST_QUALITY)
def test_a_format_is_known_by_its_signature(name: str) -> None:
    assert sniff(image_file(name, portrait())) == ("JPEG" if name == "MPO" else name)


@pytest.mark.parametrize("name", ["PPM", "ICO", "TGA", "EPS", "PDF", "JPEG2000", "ICNS", "PCX", "DDS", "SGI", "QOI"])
def test_what_pillow_could_open_but_no_contract_names_is_refused(name: str) -> None:
    file = io.BytesIO()
    portrait(64, 64).save(file, name)
    with pytest.raises(UnsupportedFormat):
        open_photo(file.getvalue())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_is_opened_as_what_its_signature_says_and_as_nothing_else() -> None:
    header = b"GIF89a: a comment;\r\nImage type: Greyscale image\r\nImage size (x*y): 4*4\r\n".ljust(511, b"\0")
    disguised = header + b"\x1a" + bytes(16)
    assert Image.open(io.BytesIO(disguised)).format == "IM"
    with pytest.raises(BadImage):
        open_photo(disguised)


@pytest.mark.parametrize("brand", [b"isom", b"mp42", b"qt  ", b"crx ", b"jp2 "])
def test_a_film_is_not_taken_for_a_heic(brand: bytes) -> None:
    assert sniff(b"\0\0\0\x18ftyp" + brand + bytes(4) + brand + b"mp41" + bytes(100)) is None


def test_a_heif_file_is_told_from_avif_by_its_compatible_brands() -> None:
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "HEIC"
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0miafavif") == "AVIF"


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_a_photo_loses_its_ballast_and_none_of_its_pixels(path: Path) -> None:
    data = path.read_bytes()
    trimmed = trim(sniff(data) or "", data)
    assert len(trimmed) < len(data)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(trimmed)).convert("RGB")), face_recognition.load_image_file(path)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"restart_marker_blocks": 3},
        {"optimize": True, "quality": 30},
        {"comment": b"\xff\xd9\xff\xda"},
    ],
)
def test_every_kind_of_jpeg_keeps_its_pixels(options: dict[str, object]) -> None:
    data = image_file("JPEG", portrait(), icc_profile=b"\xff\xda\xff\xd9" * 40_000, **options)
    padded = data[:20] + b"\0junk\xff\xff" + data[20:] + b"the film of a motion photo \xff\xda"
    assert trim("JPEG", padded) == trim("JPEG", data)
    assert len(trim("JPEG", padded)) < len(data) - 160_000
    assert np.array_equal(open_photo(padded).rgb(), face_recognition.load_image_file(io.BytesIO(data)))


def test_a_jpeg_with_more_scans_than_a_photo_has_is_refused_before_it_is_decoded() -> None:
    data = image_file("JPEG", portrait(), progressive=True)
    *_, last = re.finditer(rb"\xff\xda", data)
    scan = data[last.start() : -2]
    assert open_photo(data[:-2] + scan * 80 + b"\xff\xd9").rgb().shape == (62, 120, 3)
    with pytest.raises(BadImage, match="scans"):
        open_photo(data[:-2] + scan * 100 + b"\xff\xd9")


def test_a_large_jpeg_may_have_fewer_scans_than_a_small_one() -> None:
    data = image_file("JPEG", portrait(), progressive=True)
    (size,) = re.finditer(rb"\xff\xc2..\x08(....)", data, re.DOTALL)
    large = data[: size.start(1)] + (7000).to_bytes(2, "big") * 2 + data[size.end(1) :]
    *_, last = re.finditer(rb"\xff\xda", data)
    scan, more = data[last.start() : -2], 20 - data.count(b"\xff\xda")
    assert trim("JPEG", large[:-2] + scan * more + b"\xff\xd9")
    with pytest.raises(BadImage, match="scans"):
        trim("JPEG", large[:-2] + scan * (more + 1) + b"\xff\xd9")


def test_a_jpeg_of_millions_of_empty_segments_is_refused() -> None:
    data = image_file("JPEG", portrait())
    with pytest.raises(BadImage, match="segments"):
        open_photo(data[:2] + b"\xff\xe5\0\2" * 100_000 + data[2:])


def test_texts_and_profiles_of_a_png_are_never_unpacked() -> None:
    ballast = zlib.compress(bytes(10**6))
    rows = bytes([0, 1, 2, 3])
    chunks = [(b"iCCP", b"p\0\0" + ballast), (b"zTXt", b"t\0\0" + ballast), (b"iTXt", b"t\0\1\0\0\0" + ballast)]
    bomb = png(1, 1, 8, 2, rows, *chunks * 100)
    assert trim("PNG", bomb) == png(1, 1, 8, 2, rows)
    assert open_photo(bomb).rgb().tolist() == [[[1, 2, 3]]]


def test_of_xmp_in_a_png_only_the_orientation_is_kept_and_little_is_unpacked() -> None:
    def xmp(text: bytes) -> bytes:
        return trim("PNG", png(1, 1, 8, 2, bytes(4), (b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + text)))

    found = b"tiff:Orientation='6'"
    kept = xmp(zlib.compress(bytes(10**5) + found + bytes(10**5)))
    assert found[:-1] in kept
    assert len(kept) < 150
    for text in (zlib.compress(bytes(10**7) + found), b"no zlib", zlib.compress(found)[:9], b""):
        assert b"Orientation" not in xmp(text)


def test_a_png_split_into_many_chunks_is_put_together() -> None:
    whole = png(1, 1, 8, 2, bytes([0, 1, 2, 3]))
    length = int.from_bytes(whole[33:37], "big")
    pieces = b"".join(png_chunk(b"IDAT", whole[41 + i : 42 + i]) for i in range(length))
    assert trim("PNG", whole[:33] + pieces + whole[45 + length :]) == whole


def test_a_png_whose_orientation_comes_last_is_turned() -> None:
    whole = image_file("PNG", portrait(120, 62))
    photo = open_photo(whole[:-12] + png_chunk(b"eXIf", exif(6)[6:]) + whole[-12:])
    assert (photo.width, photo.height) == (62, 120)


def test_one_wrong_bit_in_the_pixels_of_a_png_is_noticed() -> None:
    data = bytearray(image_file("PNG", portrait()))
    data[len(data) // 2] ^= 1
    with pytest.raises(BadImage, match="damaged"):
        open_photo(bytes(data))


def test_a_wrong_bit_in_the_ballast_of_a_png_does_not_matter() -> None:
    data = png(1, 1, 8, 2, bytes([0, 1, 2, 3]), (b"tEXt", b"Comment\0hello")).replace(b"hello", b"jello")
    assert open_photo(data).rgb().tolist() == [[[1, 2, 3]]]


def test_comments_of_a_gif_are_dropped_and_its_transparency_kept() -> None:
    image = portrait().quantize(64)
    data = image_file("GIF", image, transparency=3, optimize=False)
    start = data.index(b"!\xf9\x04")
    comments = (b"!\xfe" + b"\2xy" * 1000 + b"\0") * 100
    expected = np.array(image.convert("RGB"))
    expected[np.asarray(image) == 3] = 255
    for bomb in (data[:start] + comments + data[start:], data[: start + 8] + comments + data[start + 8 :]):
        assert len(trim("GIF", bomb)) == len(data)
        assert np.array_equal(open_photo(bomb).rgb(), expected)
