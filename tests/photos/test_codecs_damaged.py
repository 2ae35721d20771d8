"""codecs.py on damaged files: every error is a Face128Error, whatever the codecs raise."""

from __future__ import annotations

import random

import numpy as np
import pytest
from image_files import BEST_QUALITY, exif, image_file, portrait
from PIL import ImageFile

from face128.errors import BadImage, Face128Error
from face128.photos.photo import open_photo

# Pillow also warns of damaged metadata and large pictures.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")


@pytest.mark.parametrize("block", [exif(9), exif(0), b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0junk"])
def test_a_damaged_exif_block_does_not_spoil_the_picture(block: bytes) -> None:
    assert np.array_equal(open_photo(image_file("PNG", portrait(), exif=block)).rgb(), portrait())


@pytest.fixture(params=[False, True], ids=["strict", "face_recognition was imported"])
def _truncation_switch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing face_recognition switches Pillow to accept truncated files, in the whole process."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)


@pytest.mark.usefixtures("_truncation_switch")
@pytest.mark.parametrize("name", [name for name in BEST_QUALITY if name != "MPO"])
def test_a_truncated_file_is_a_bad_image_whatever_pillow_has_been_switched_to(name: str) -> None:
    data = image_file(name, portrait())
    for percent in (3, 10, 30, 50, 70, 90, 97):
        with pytest.raises(BadImage):
            open_photo(data[: len(data) * percent // 100]).rgb()


def test_a_heic_that_is_not_of_the_size_that_it_claims_is_a_bad_image() -> None:
    data = bytearray(image_file("HEIC", portrait(48, 40)))
    width = data.index(b"clap") + 4
    assert data[width : width + 4] == bytes([0, 0, 0, 48])
    data[width + 2] = 1
    photo = open_photo(bytes(data))
    with pytest.raises(BadImage):
        photo.rgb()


@pytest.mark.parametrize("name", BEST_QUALITY)
def test_every_damaged_file_raises_a_face128_error(name: str) -> None:
    dice = random.Random(name)
    options = {} if name in ("GIF", "BMP", "MPO") else {"exif": exif(6)}
    data = image_file(name, portrait(48, 40), **options)
    read = 0
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(dice.choice([1, 1, 2, 8])):
            start = dice.randrange(len(data) if dice.random() < 0.5 else min(300, len(data)))
            match dice.randrange(4):
                case 0:
                    damaged[start : start + 1] = bytes([dice.randrange(256)])
                case 1:
                    damaged[start : start + 4] = dice.choice(
                        [b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]
                    )
                case 2:
                    del damaged[start : start + dice.choice([1, 4, 100])]
                case 3:
                    damaged[start:start] = damaged[start : start + dice.choice([1, 4, 100])]
        try:
            photo = open_photo(bytes(damaged))
            assert photo.rgb().shape == (photo.height, photo.width, 3)
            read += 1
        except Face128Error:
            pass
    assert read < 500
