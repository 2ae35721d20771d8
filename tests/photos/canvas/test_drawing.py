"""A photo as a browser shows it: pixel by pixel what Chromium draws on a canvas, for every way to name colours."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import partial

import chromium
import icc_profiles
import numpy as np
import numpy.typing as npt
import pytest
from image_files import exif, image_file, png, png_chunk
from PIL import Image

from face128.photos.photo import open_photo

SIDE = 64
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
PROFILES = {
    name.lower(): profile
    for name, profile in vars(icc_profiles).items()
    if name.isupper() and isinstance(profile, bytes) and profile[36:40] == b"acsp"
}
MUTATIONS = 60


def photo(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(NOISE).convert(mode)


def mode_of(profile: bytes) -> str:
    """The kind of pixels that a profile is for."""
    return {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}[profile[16:20]]


def coloured(image_format: str, profile: bytes) -> bytes:
    return image_file(image_format, photo(mode_of(profile)), icc_profile=profile)


def translucent(mode: str = "RGBA") -> Image.Image:
    """Every alpha, one to a column."""
    image = photo("RGB").resize((256, SIDE), Image.Resampling.NEAREST)
    image.putalpha(Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis].repeat(SIDE, axis=0)))
    return image.convert(mode)


def deep(*extra: tuple[bytes, bytes]) -> bytes:
    """RGB with 16 bits."""
    samples = np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE, 3)).astype(">u2")
    samples[: SIDE // 2] = (1, 2, 3)
    return png(SIDE, SIDE, 16, 2, b"".join(b"\0" + row.tobytes() for row in samples), *extra)


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    plain = image_file("PNG", photo())
    return plain[:33] + b"".join(png_chunk(name, content) for name, content in chunks) + plain[33:]


def with_code_points(primaries: int, transfer: int) -> bytes:
    """An AVIF without a profile."""
    file = image_file("AVIF", photo())
    start = file.index(b"colrnclx") + 8
    return file[:start] + struct.pack(">HH", primaries, transfer) + file[start + 4 :]


def numbers(*values: float) -> bytes:
    return b"".join(struct.pack(">I", round(100_000 * value)) for value in values)


WHITE = (0.3127, 0.3290)
P3_CHROMATICITIES = numbers(*WHITE, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)

FILES: dict[str, Callable[[], bytes]] = {
    "plain.jpeg": lambda: image_file("JPEG", photo()),
    "grey.jpeg": lambda: image_file("JPEG", photo("L")),
    "cmyk.jpeg": lambda: image_file("JPEG", photo("CMYK")),
    "palette.png": lambda: image_file("PNG", photo("P")),
    "grey-profile-for-grey.png": lambda: image_file("PNG", photo("L"), icc_profile=icc_profiles.GREY),
    "p3-for-grey.jpeg": lambda: image_file("JPEG", photo("L"), icc_profile=icc_profiles.DISPLAY_P3),
    "p3-for-cmyk.jpeg": lambda: image_file("JPEG", photo("CMYK"), icc_profile=icc_profiles.DISPLAY_P3),
    "p3.gif": lambda: image_file("GIF", photo("P"), icc_profile=icc_profiles.DISPLAY_P3),
    "plain.bmp": lambda: image_file("BMP", photo()),
    "gamma-1.png": lambda: with_chunks((b"gAMA", numbers(1))),
    "gamma-0.png": lambda: with_chunks((b"gAMA", numbers(0))),
    "gamma-2.2.png": lambda: with_chunks((b"gAMA", numbers(0.45455))),
    "gamma-3.png": lambda: with_chunks((b"gAMA", numbers(0.33333))),
    "gamma-p3.png": lambda: with_chunks((b"gAMA", numbers(0.6)), (b"cHRM", P3_CHROMATICITIES)),
    "p3-without-gamma.png": lambda: with_chunks((b"cHRM", P3_CHROMATICITIES)),
    "no-white.png": lambda: with_chunks((b"gAMA", numbers(0.6)), (b"cHRM", bytes(32))),
    "one-primary.png": lambda: with_chunks((b"gAMA", numbers(0.6)), (b"cHRM", numbers(*[0.3, 0.3] * 4))),
    "srgb-and-gamma.png": lambda: with_chunks((b"sRGB", b"\0"), (b"gAMA", numbers(1))),
    "code-points.png": lambda: with_chunks((b"cICP", bytes([9, 13, 0, 1]))),
    "code-points-of-video.png": lambda: with_chunks((b"cICP", bytes([9, 13, 0, 0])), (b"gAMA", numbers(1))),
    "code-points-p3.avif": lambda: with_code_points(12, 13),
    "code-points-2020.avif": lambda: with_code_points(9, 1),
    "code-points-unknown.avif": lambda: with_code_points(2, 2),
    "translucent.png": lambda: image_file("PNG", translucent()),
    "translucent-grey.png": lambda: image_file("PNG", translucent("LA")),
    "translucent.webp": lambda: image_file("WEBP", translucent(), exact=True),
    "translucent-p3.png": lambda: image_file("PNG", translucent(), icc_profile=icc_profiles.DISPLAY_P3),
    "translucent-p3.webp": lambda: image_file("WEBP", translucent(), exact=True, icc_profile=icc_profiles.DISPLAY_P3),
    "translucent-tables.png": lambda: image_file("PNG", translucent(), icc_profile=icc_profiles.SCANNER),
    "transparent-colour.png": lambda: image_file("PNG", photo(), transparency=tuple(NOISE[0, 0].tolist())),
    "transparent.gif": lambda: image_file("GIF", photo("P"), transparency=3),
    "deep.png": deep,
    "deep-transparent-colour.png": lambda: deep((b"tRNS", struct.pack(">3H", 1, 2, 3))),
    "deep-p3.png": lambda: deep((b"gAMA", numbers(0.6)), (b"cHRM", P3_CHROMATICITIES)),
    **{f"{name}.jpeg": partial(coloured, "JPEG", profile) for name, profile in PROFILES.items()},
    **{
        f"{name}.{image_format.lower()}": partial(coloured, image_format, profile)
        for image_format in ("PNG", "WEBP", "AVIF")
        for name, profile in PROFILES.items()
        if mode_of(profile) == "RGB"
    },
    **{f"turned-{n}.jpeg": partial(image_file, "JPEG", photo(), exif=exif(n)) for n in range(2, 9)},
    "turned.png": lambda: image_file("PNG", photo(), exif=exif(6)),
    "turned.webp": lambda: image_file("WEBP", photo(), exif=exif(6)),
    "turned.avif": lambda: image_file("AVIF", photo(), exif=exif(6)),
    "turned-by-xmp.jpeg": lambda: image_file("JPEG", photo(), xmp=b'<x tiff:Orientation="6"/>'),
}


def mutated() -> dict[str, bytes]:
    """Files with damaged profiles."""
    chance = random.Random(0)
    files = {}
    for number in range(MUTATIONS):
        original = chance.choice(list(PROFILES.values()))
        profile = bytearray(original)
        for _ in range(chance.choice([1, 1, 2, 4])):
            place = chance.randrange(chance.choice([128, 400, len(profile)])) % len(profile)
            match chance.randrange(4):
                case 0:
                    profile[place : place + 4] = chance.choice(
                        [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0"]
                    )
                case 1:
                    del profile[place : place + chance.randrange(1, 50)]
                case _:
                    profile[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        files[f"mutated-{number}.jpeg"] = image_file("JPEG", photo(mode_of(original)), icc_profile=bytes(profile))
    return files


MUTATED = mutated()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: make() for name, make in FILES.items()} | MUTATED


@pytest.fixture(scope="module")
def drawn(files: dict[str, bytes]) -> dict[str, npt.NDArray[np.uint8]]:
    return chromium.canvas_pixels(files)


@pytest.mark.parametrize("name", [*FILES, *MUTATED])
def test_the_pixels_are_those_of_chromiums_canvas(
    name: str, files: dict[str, bytes], drawn: dict[str, npt.NDArray[np.uint8]]
) -> None:
    photo = open_photo(files[name], rendering="browser")
    assert np.array_equal(photo.rgb(), drawn[name][..., :3])
    assert photo.rgb().shape == (photo.height, photo.width, 3)
    canvas = photo.canvas()
    assert canvas.shape[2] == (3 if (drawn[name][..., 3] == 255).all() else 4)
    if canvas.shape[2] == 4:
        assert np.array_equal(canvas[..., 3], drawn[name][..., 3])
