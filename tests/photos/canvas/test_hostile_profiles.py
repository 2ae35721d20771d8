"""A damaged or hostile profile is ignored: nothing is raised, and neither time nor memory is lost."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib

import icc_profiles
import numpy as np
import pytest
from image_files import image_file, png_chunk
from PIL import Image

from face128.photos.canvas.icc_profile import MAX_PROFILE_BYTES, IccProfile
from face128.photos.photo import open_photo

NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
PLAIN_PNG = image_file("PNG", Image.fromarray(NOISE))
PLAIN_JPEG = image_file("JPEG", Image.fromarray(NOISE))
PROFILES = [
    icc_profiles.DISPLAY_P3,
    icc_profiles.TABLE_CURVES,
    icc_profiles.GREY,
    icc_profiles.CMYK,
    icc_profiles.SCANNER,
    icc_profiles.FOUR_STAGES,
    icc_profiles.TABLE_AND_FORMULAS,
]


def png_with(profile: bytes) -> bytes:
    return PLAIN_PNG[:33] + png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile, 9)) + PLAIN_PNG[33:]


def jpeg_with(*parts: tuple[int, int, bytes]) -> bytes:
    """A JPEG with these numbered parts of a profile."""
    segments = [b"ICC_PROFILE\0" + bytes([number, count]) + part for number, count, part in parts]
    return PLAIN_JPEG[:2] + b"".join(b"\xff\xe2" + struct.pack(">H", len(s) + 2) + s for s in segments) + PLAIN_JPEG[2:]


def is_ignored(file: bytes) -> bool:
    return np.array_equal(open_photo(file, rendering="browser").rgb(), open_photo(file).rgb())


def test_the_same_profiles_are_not_ignored_when_they_are_whole() -> None:
    half = len(icc_profiles.DISPLAY_P3) // 2
    first, second = icc_profiles.DISPLAY_P3[:half], icc_profiles.DISPLAY_P3[half:]
    assert not is_ignored(png_with(icc_profiles.DISPLAY_P3))
    assert not is_ignored(jpeg_with((1, 2, first), (2, 2, second)))
    assert not is_ignored(jpeg_with((2, 2, second), (1, 2, first)))


@pytest.mark.parametrize("parts", [[(1, 2)], [(1, 2), (1, 2)], [(1, 2), (3, 2)], [(1, 3), (2, 3)], [(0, 2), (1, 2)]])
def test_a_profile_with_a_part_missing_or_there_twice_is_ignored(parts: list[tuple[int, int]]) -> None:
    half = len(icc_profiles.DISPLAY_P3) // 2
    halves = (icc_profiles.DISPLAY_P3[:half], icc_profiles.DISPLAY_P3[half:])
    assert is_ignored(jpeg_with(*((*part, halves[i]) for i, part in enumerate(parts))))


def test_a_profile_that_unpacks_to_much_more_takes_no_memory() -> None:
    bomb = png_with(icc_profiles.DISPLAY_P3 + bytes(40 * 2**20))
    assert len(bomb) < 2**20
    tracemalloc.start()
    try:
        assert is_ignored(bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_PROFILE_BYTES
    finally:
        tracemalloc.stop()


def test_a_profile_whose_tags_are_each_as_long_as_itself_takes_no_memory() -> None:
    count = 1000
    size = 132 + 12 * count + 2**20
    tags = b"".join(struct.pack(">III", number, 128, size - 128) for number in range(count))
    header = bytearray(icc_profiles.DISPLAY_P3[:128])
    header[:4] = struct.pack(">I", size)
    profile = bytes(header) + struct.pack(">I", count) + tags + bytes(2**20)
    tracemalloc.start()
    try:
        assert is_ignored(png_with(profile))
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tag", [b"mft1", b"mft2", b"mAB "])
def test_a_table_that_claims_more_than_it_has_is_ignored(tag: bytes) -> None:
    claims = tag + bytes([0, 0, 0, 0, 4, 3, 255, 0]) + b"\x0f\xff" * 40
    profile = icc_profiles.profile(b"RGB ", {b"A2B0": claims}, b"Lab ")
    assert IccProfile.parse(profile)
    assert is_ignored(png_with(profile))


def test_no_mutated_profile_raises() -> None:
    chance = random.Random(1)
    pixels = NOISE[:2]
    converted = 0
    for _ in range(800):
        data = bytearray(chance.choice(PROFILES))
        for _ in range(chance.choice([1, 1, 2, 5])):
            place = chance.randrange(chance.choice([140, 400, len(data)])) % len(data)
            match chance.randrange(4):
                case 0:
                    data[place : place + 4] = chance.choice([bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
                case 1:
                    del data[place : place + chance.randrange(1, 60)]
                case 2:
                    data[place:place] = chance.randbytes(chance.randrange(1, 20))
                case _:
                    data[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        profile = IccProfile.parse(bytes(data))
        conversion = profile.to_srgb() if profile else None
        if conversion is not None:
            converted += 1
            assert conversion(pixels).shape == pixels.shape
            assert conversion.unrounded(pixels[0]).shape == pixels[0].shape
    assert 160 < converted < 640
