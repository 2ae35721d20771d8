"""What is claimed for a photo is at least what it takes: measured in processes of their own, by the kernel."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import icc_profiles
import numpy as np
import pillow_heif
import pytest
from image_files import exif, png
from paths import ROOT
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")

SIDES = (2400, 1800)
MIB = 2**20


def photo(mode: str) -> Image.Image:
    strips = np.random.default_rng(0).integers(0, 64, (SIDES[1] // 40, SIDES[0] // 40, 3), np.uint8) * 4
    return Image.fromarray(strips).resize(SIDES, Image.Resampling.NEAREST).convert(mode)


def pillow(image_format: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    photo(mode).save(file, image_format, **options)
    return file.getvalue()


def turned(image_format: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return pillow(image_format, exif=exif, **options)


def deep_transparent_png() -> bytes:
    samples = np.asarray(photo("RGB")).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    colour = samples[0, 0].astype(">u2").tobytes()
    return png(*SIDES, 16, 2, rows, (b"tRNS", colour), (b"eXIf", exif(6)[6:]))


def heif(mode: str, chroma: int = 420) -> bytes:
    pixels = np.asarray(photo(mode.partition(";")[0]))
    data = (pixels.astype(np.uint16) << 8 if mode.endswith("16") else pixels).tobytes()
    file = io.BytesIO()
    picture = pillow_heif.from_bytes(mode=mode, size=SIDES, data=data)
    picture.save(file, quality=30, chroma=chroma, enc_params={"preset": "ultrafast"})
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: pillow("JPEG", subsampling=0),
    "jpeg-turned": lambda: turned("JPEG"),
    "jpeg-progressive": lambda: pillow("JPEG", subsampling=0, progressive=True),
    "jpeg-cmyk-progressive": lambda: pillow("JPEG", "CMYK", progressive=True),
    "png": lambda: pillow("PNG", compress_level=1),
    "png-rgba-turned": lambda: turned("PNG", mode="RGBA", compress_level=1),
    "png-palette": lambda: pillow("PNG", "P", compress_level=1, transparency=3),
    "png-deep-transparent-turned": deep_transparent_png,
    "gif": lambda: pillow("GIF", "P", transparency=3),
    "bmp": lambda: pillow("BMP"),
    "tiff-one-strip": lambda: pillow("TIFF", "RGBA", compression="tiff_lzw", strip_size=2**26),
    "tiff-cmyk": lambda: pillow("TIFF", "CMYK", compression="tiff_adobe_deflate", strip_size=2**26),
    "webp": lambda: pillow("WEBP", method=0),
    "webp-rgba-turned": lambda: turned("WEBP", mode="RGBA", method=0),
    "avif": lambda: pillow("AVIF", speed=10, subsampling="4:4:4"),
    "avif-rgba": lambda: pillow("AVIF", "RGBA", speed=10),
    "heic": lambda: heif("RGB"),
    "heic-rgba": lambda: heif("RGBA", 444),
    "heic-deep": lambda: heif("RGB;16", 444),
    "heic-deep-rgba": lambda: heif("RGBA;16", 444),
}


def measured(work: str, shrink: int, files: list[Path]) -> list[tuple[int, int]]:
    """The peak, and what was claimed."""
    command = [sys.executable, str(ROOT / "tests/support/peak_memory.py"), work, str(shrink), *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stderr
    return [(int(peak), int(claimed)) for peak, claimed in map(str.split, run.stdout.splitlines())]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = {name: folder / name for name in FILES}
    for name, path in paths.items():
        path.write_bytes(FILES[name]())
    return paths


def test_no_format_takes_more_than_is_claimed_for_its_decoding(files: dict[str, Path]) -> None:
    peaks = dict(zip(files, measured("decode", 1, list(files.values())), strict=True))
    assert {name: (peak, claimed) for name, (peak, claimed) in peaks.items() if peak > claimed} == {}
    # Nor is much more claimed than the most demanding file of a format takes.
    for image_format in ("jpeg", "png", "tiff", "webp", "avif", "heic"):
        peak, claimed = max(found for name, found in peaks.items() if name.startswith(image_format))
        assert peak > claimed / 2, image_format


def test_no_format_takes_more_than_is_claimed_for_its_drawing(files: dict[str, Path]) -> None:
    """As a browser draws it: in sRGB, on a transparent canvas."""
    paths = list(files.values())
    for path in (files["jpeg"], files["png-rgba-turned"], files["jpeg-cmyk-progressive"]):
        for profile in (icc_profiles.THREE_CURVES, icc_profiles.SCANNER, icc_profiles.CMYK):
            image = Image.open(path)
            paths.append(path.with_name(f"{path.name}-{len(paths)}"))
            image.save(paths[-1], image.format, icc_profile=profile, exif=exif(6))
    peaks = dict(zip(paths, measured("draw", 1, paths), strict=True))
    assert {path.name: (peak, claimed) for path, (peak, claimed) in peaks.items() if peak > claimed} == {}


@pytest.mark.parametrize("shrink", [2, 8])
def test_a_jpeg_at_a_smaller_size_takes_no_more_either(files: dict[str, Path], shrink: int) -> None:
    jpegs = [path for name, path in files.items() if name.startswith("jpeg")]
    assert all(peak <= claimed for peak, claimed in measured("decode", shrink, jpegs))


def test_the_search_for_faces_takes_no_more_than_is_claimed(tmp_path: Path) -> None:
    """In noise, which is searched at every scale."""
    files = []
    for width in (640, 1200, 1800, 2800):
        files.append(tmp_path / f"{width}.png")
        Image.effect_noise((width, width * 3 // 4), 90).convert("RGB").save(files[-1], compress_level=1)
    kept_by_the_allocator = 32 * MIB  # and pages of libraries that the first search touches
    found = measured("dlib", 1, files)
    assert [(peak, claimed) for peak, claimed in found if peak > claimed + kept_by_the_allocator] == []
