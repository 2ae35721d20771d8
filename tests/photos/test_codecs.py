"""codecs.py: upright 8-bit pixels from every kind of pixels that a file can hold."""

from __future__ import annotations

import io
import struct
import zlib

import face_recognition
import numpy as np
import pytest
from image_files import exif, image_file, png, png_chunk, portrait
from PIL import Image, ImageCms

from face128.errors import UnsupportedFormat
from face128.photos.photo import open_photo

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def rgb(data: bytes) -> np.ndarray:
    return open_photo(data).rgb()


def distance(a: np.ndarray, b: np.ndarray | Image.Image) -> float:
    """The mean difference of two pictures, in grey levels."""
    return float(np.abs(a.astype(int) - np.asarray(b)).mean())


# How a camera stores a picture for each orientation (Exif 2.32, 4.6.4).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_a_picture_comes_upright_and_its_size_is_known_before_it_is_decoded(name: str, orientation: int) -> None:
    upright = np.asarray(portrait(120, 62))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    photo = open_photo(image_file(name, stored, exif=exif(orientation)))
    assert (photo.width, photo.height) == (120, 62)
    assert distance(photo.rgb(), upright) < 3
    assert distance(photo.rgb(2), portrait(120, 62).reduce(2)) < 3


XMP_FORMS = ["tiff:Orientation='{}'", 'a tiff:Orientation = "{}" b', "<tiff:Orientation>{}</tiff:Orientation>"]


def with_xmp(name: str, image: Image.Image, xmp: str, packed: bool = False, **options: object) -> bytes:
    packet = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{xmp}</x:xmpmeta>".encode()
    if name == "PNG":
        data = image_file(name, image, **options)
        text = zlib.compress(packet) if packed else packet
        chunk = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([packed, 0, 0, 0]) + text)
        return data[:-12] + chunk + data[-12:]
    if name == "TIFF":
        options["tiffinfo"] = {700: packet}
        if "exif" in options:
            options["tiffinfo"] = {700: packet, 274: 3}
            del options["exif"]
        return image_file(name, image, **options)
    return image_file(name, image, xmp=packet, **options)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_without_an_orientation_in_exif_that_of_xmp_counts(name: str, orientation: int) -> None:
    upright = np.asarray(portrait(120, 62))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    for form in XMP_FORMS:
        for packed in (False, True):
            photo = open_photo(with_xmp(name, stored, form.format(orientation), packed))
            assert (photo.width, photo.height) == (120, 62)
            assert distance(photo.rgb(), upright) < 3
            assert photo.rgb(2).shape == (31, 60, 3)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_where_exif_and_xmp_disagree_exif_counts(name: str) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[3](np.asarray(portrait()))))
    data = with_xmp(name, stored, XMP_FORMS[0].format(6), exif=exif(3))
    assert distance(rgb(data), portrait()) < 3


@pytest.mark.parametrize("name", ["AVIF", "HEIC"])
def test_xmp_does_not_turn_what_a_file_has_its_own_rotation_for(name: str) -> None:
    assert distance(rgb(with_xmp(name, portrait(), XMP_FORMS[0].format(6))), portrait()) < 3


@pytest.mark.parametrize(
    "xmp", ["tiff:Orientation='0'", "tiff:Orientation='9'", "tiff:Orientation=", "<tiff:Orientation/>"]
)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_that_says_nothing_turns_nothing(name: str, xmp: str) -> None:
    assert distance(rgb(with_xmp(name, portrait(), xmp)), portrait()) < 3


def test_a_turned_jpeg_has_exactly_the_stored_pixels() -> None:
    data = image_file("JPEG", portrait(), exif=exif(6))
    assert np.array_equal(STORED[6](rgb(data)), face_recognition.load_image_file(io.BytesIO(data)))


MODES = {"JPEG": "L CMYK", "PNG": "1 L P", "TIFF": "1 L P CMYK", "BMP": "1 L P", "GIF": "1 L P"}


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, modes in MODES.items() for mode in modes.split()])
def test_grey_bilevel_palette_and_cmyk_are_converted_as_face_recognition_does(name: str, mode: str) -> None:
    data = image_file(name, portrait().convert(mode))
    assert np.array_equal(rgb(data), face_recognition.load_image_file(io.BytesIO(data)))
    assert distance(rgb(data), portrait().convert(mode).convert("RGB")) < 5


def test_an_adobe_ycck_jpeg_is_not_a_negative() -> None:
    negative = Image.fromarray(255 - np.asarray(portrait())).convert("YCbCr")
    black = Image.new("L", negative.size, 0)
    bands = [Image.fromarray(255 - np.asarray(band)) for band in negative.split()]
    data = image_file("JPEG", Image.merge("CMYK", [*bands, black]))
    assert data.count(b"Adobe\0d\0\0\0\0\0") == 1
    data = data.replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2")  # transform 2: the channels are YCCK
    assert distance(rgb(data), portrait()) < 5
    assert np.array_equal(rgb(data), face_recognition.load_image_file(io.BytesIO(data)))


def test_lab_and_ycbcr_tiffs_are_converted() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    assert distance(rgb(image_file("TIFF", ImageCms.applyTransform(portrait(), to_lab))), portrait()) < 3
    assert distance(rgb(image_file("TIFF", portrait().convert("YCbCr"))), portrait()) < 3


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_and_not_clipped(name: str) -> None:
    pixels = rgb(image_file(name, Image.fromarray(RAMP)))
    assert np.array_equal(pixels, np.repeat((RAMP // 256)[..., np.newaxis], 3, axis=2))


def test_big_endian_grey_of_16_bits_is_scaled() -> None:
    image = Image.frombytes("I;16B", RAMP.shape, RAMP.astype(">u2").tobytes())
    assert np.array_equal(rgb(image_file("TIFF", image))[..., 0], RAMP // 256)


@pytest.mark.parametrize("factor", [256, 257])
def test_8_bits_that_were_widened_to_16_come_back_exactly_in_grey_and_in_colour(factor: int) -> None:
    wide = np.asarray(portrait()).astype(">u2") * factor
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    assert np.array_equal(rgb(png(120, 62, 16, 2, rows)), portrait())
    assert np.array_equal(
        rgb(image_file("PNG", Image.fromarray(wide[..., 1].astype(np.uint16))))[..., 1], np.asarray(portrait())[..., 1]
    )


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_without_a_known_white_are_refused_and_never_guessed(mode: str) -> None:
    with pytest.raises(UnsupportedFormat):
        open_photo(image_file("TIFF", portrait().convert(mode)))


@pytest.mark.parametrize(("tag", "value"), [(258, 12), (262, 0)])
def test_grey_tiffs_of_12_bits_or_with_white_at_zero_are_refused(tag: int, value: int) -> None:
    data = image_file("TIFF", Image.fromarray(RAMP))
    entry = data.index(struct.pack("<HHL", tag, 3, 1))
    with pytest.raises(UnsupportedFormat):
        open_photo(data[: entry + 8] + struct.pack("<H", value) + data[entry + 10 :])


def test_alpha_is_laid_on_white() -> None:
    alpha = Image.linear_gradient("L").resize((120, 62))
    image = portrait()
    image.putalpha(alpha)
    share = np.asarray(alpha)[..., np.newaxis] / 255
    expected = np.asarray(portrait()) * share + 255 * (1 - share)
    grey = image.convert("LA")
    expected_grey = np.asarray(portrait().convert("L").convert("RGB")) * share + 255 * (1 - share)
    for name in ("PNG", "WEBP", "TIFF", "AVIF", "HEIC"):
        assert distance(rgb(image_file(name, image, **({"exact": True} if name == "WEBP" else {}))), expected) < 3
    for name in ("PNG", "TIFF"):
        assert distance(rgb(image_file(name, grey)), expected_grey) < 1


def test_premultiplied_grey_is_laid_on_white() -> None:
    data = image_file("TIFF", Image.merge("LA", [Image.new("L", (8, 8), 60), Image.new("L", (8, 8), 120)]))
    entry = data.index(struct.pack("<HHL", 338, 3, 1))
    associated = data[: entry + 8] + struct.pack("<H", 1) + data[entry + 10 :]
    assert distance(rgb(associated), np.full((8, 8, 3), 60 + 255 - 120)) <= 1


ONE_BYTE_A_COLOUR = bytes([255] * 7 + [0] + [255] * 192)


@pytest.mark.parametrize(("name", "transparency"), [("GIF", 7), ("PNG", 7), ("PNG", ONE_BYTE_A_COLOUR)])
def test_a_transparent_colour_of_a_palette_becomes_white(name: str, transparency: int | bytes) -> None:
    image = portrait().quantize(200)
    expected = np.array(image.convert("RGB"))
    expected[np.asarray(image) == 7] = 255
    assert np.array_equal(rgb(image_file(name, image, transparency=transparency, optimize=False)), expected)


def test_a_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    rows = bytes([0, 10, 20, 30, 40, 50, 60])
    assert rgb(png(2, 1, 8, 2, rows, (b"tRNS", struct.pack(">HHH", 10, 20, 30)))).tolist() == [
        [[255] * 3, [40, 50, 60]]
    ]


def png_rows(samples: np.ndarray, depth: int) -> bytes:
    """The rows of a PNG, each with its filter byte, of (height, width, channels) samples of ``depth`` bits."""
    bits = samples[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
    return b"".join(b"\0" + np.packbits(row.astype(np.uint8)).tobytes() for row in bits.reshape(len(samples), -1))


@pytest.mark.parametrize(("depth", "channels"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)])
def test_a_transparent_colour_becomes_white_at_every_depth_and_its_neighbours_do_not(depth: int, channels: int) -> None:
    largest = 2**depth - 1
    dice = np.random.default_rng(depth)
    for colour in {0, 1, largest // 3, largest & 0x1234}:
        near = [colour ^ 1, colour ^ (largest + 1 >> 1), colour]  # another lowest bit, another highest
        samples = np.where(dice.random((40, 33, 1)) < 0.5, dice.choice(near, (40, 33, channels)), colour)
        transparent = (samples == colour).all(axis=2)
        assert 0.4 < transparent.mean() < 0.9
        key = struct.pack(f">{channels}H", *[colour] * channels)
        pixels = rgb(png(33, 40, depth, 2 if channels == 3 else 0, png_rows(samples, depth), (b"tRNS", key)))
        opaque = samples * 255 // largest if depth < 8 else samples >> depth - 8
        assert np.array_equal(pixels, np.where(transparent[..., np.newaxis], 255, np.broadcast_to(opaque, (40, 33, 3))))


def test_a_turned_png_of_16_bits_has_its_transparent_colour_in_the_same_place() -> None:
    samples = np.arange(6 * 4 * 3).reshape(6, 4, 3) * 500
    key = (b"tRNS", struct.pack(">3H", *samples[1, 2]))
    stored = rgb(png(4, 6, 16, 2, png_rows(samples, 16), key))
    assert (stored == 255).all(axis=2).nonzero() == (1, 2)
    turned = rgb(png(4, 6, 16, 2, png_rows(samples, 16), key, (b"eXIf", exif(6)[6:])))
    assert np.array_equal(STORED[6](turned), stored)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF", "TIFF", "AVIF", "MPO"])
def test_of_several_frames_the_first_is_taken(name: str) -> None:
    first, second = portrait(), Image.new("RGB", (120, 62), "blue")
    data = image_file(name, first, save_all=True, append_images=[second])
    assert distance(rgb(data), first) < (12 if name == "GIF" else 3)
