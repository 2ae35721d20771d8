"""photo.py on decompression bombs: small files of huge pictures are refused before anything is decoded."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from pathlib import Path

import pillow_heif
import pytest
from image_files import BEST_QUALITY, image_file, png
from PIL import Image

from face128.errors import TooLarge
from face128.photos.photo import open_photo

# VmHWM, not getrusage: on Linux a child's ru_maxrss starts at its parent's.
OPEN_AND_MEASURE = """
import sys
from face128.errors import Face128Error
from face128.photos.photo import open_photo

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

data = open(sys.argv[1], "rb").read()
before = peak()
try:
    open_photo(data)
except Face128Error as error:
    print(error.code, peak() - before, peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", BEST_QUALITY)
def test_sixty_megapixels_are_refused_before_memory_is_spent_on_them(name: str, tmp_path: Path) -> None:
    cheap = {
        "JPEG": {"quality": 10},
        "MPO": {"quality": 10, "progressive": True},
        "PNG": {"compress_level": 1},
        "WEBP": {"lossless": False, "quality": 1, "method": 0},
        "GIF": {"disposal": 2},
        "TIFF": {"compression": "tiff_lzw"},
        "AVIF": {"quality": 1, "speed": 10, "subsampling": "4:0:0"},
        "HEIC": {"quality": 1, "enc_params": {"preset": "ultrafast"}},
    }
    bomb = Image.new("1" if name == "BMP" else "L", (10_000, 6_000), 90)
    file = tmp_path / "bomb"
    file.write_bytes(image_file(name, bomb, **cheap.get(name, {})))
    child = subprocess.run([sys.executable, "-c", OPEN_AND_MEASURE, file], capture_output=True, text=True, check=True)
    code, growth, total = child.stdout.split()
    assert code == "too_large"
    assert int(growth) < 30_000, "kB: half a byte a pixel, less than any decoder needs"
    assert int(total) < 200_000


def test_what_pillow_itself_calls_a_bomb_is_too_large() -> None:
    with pytest.raises(TooLarge):
        open_photo(png(20_000, 20_000, 8, 2, b""))


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("side", [17_000, 40_000, 2**31 - 1])
def test_a_size_beyond_the_decoders_own_limit_is_too_large_and_not_damaged(image_format: str, side: int) -> None:
    file = io.BytesIO()
    image = Image.effect_noise((64, 64), 50).convert("RGB")
    if image_format == "HEIF":
        pillow_heif.from_pillow(image).save(file)
    else:
        image.save(file, image_format)
    extents = b"ispe\0\0\0\0" + struct.pack(">II", side, side)
    data, count = re.subn(rb"(?s)ispe\0{4}.{8}", extents, file.getvalue())
    assert count
    with pytest.raises(TooLarge) as refused:
        open_photo(data)
    assert refused.value.context == {"max_pixels": 50_000_000}
