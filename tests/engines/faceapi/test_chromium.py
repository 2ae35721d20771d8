"""The faceapi engine against face-api.js in Chromium, from the same 30 files: each side decodes, colours and chooses.

-s prints the distances.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromium
import faceapi_truth
import icc_profiles
import numpy as np
import pytest
from image_files import PHOTOS, exif, image_file, png_chunk
from PIL import Image

from face128.encoding.encode import encode
from face128.photos.photo import Limits

MAX_DISTANCE = 1e-5
BIDEN, COLLINS, HOPPER, OBAMA_2009, OBAMA_2010, OBAMA_2012 = PHOTOS


def coloured(path: Path, image_format: str, profile: bytes, **options: Any) -> bytes:
    """A fixture photo whose pixels are said to be in this profile's colours."""
    return image_file(image_format, Image.open(path).convert("RGB"), icc_profile=profile, **options)


def chunked(path: Path, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with these chunks after its header."""
    plain = image_file("PNG", Image.open(path).convert("RGB"))
    return plain[:33] + b"".join(png_chunk(name, content) for name, content in chunks) + plain[33:]


def cut_out(path: Path, image_format: str, **options: Any) -> bytes:
    """Soft at its edge, transparent beyond: an ellipse whose edge crosses the face."""
    image = Image.open(path).convert("RGB")
    x, y = np.meshgrid(np.linspace(-1, 1, image.width), np.linspace(-1, 1, image.height))
    alpha = ((0.7 - np.hypot(x, y)) * 1000).clip(0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image_file(image_format, image, **options)


def gamma_chunk(inverse: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(inverse * 100_000))


P3_CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)

CASES: dict[str, Callable[[], bytes]] = {
    **{path.name: path.read_bytes for path in PHOTOS},
    "p3.jpeg": lambda: coloured(HOPPER, "JPEG", icc_profiles.DISPLAY_P3),
    "p3-420-turned.jpeg": lambda: coloured(
        OBAMA_2012, "JPEG", icc_profiles.DISPLAY_P3, subsampling=2, exif=exif(6), quality=90
    ),
    "p3.png": lambda: coloured(COLLINS, "PNG", icc_profiles.DISPLAY_P3),
    "p3.webp": lambda: coloured(HOPPER, "WEBP", icc_profiles.DISPLAY_P3, lossless=False, quality=90),
    "p3.avif": lambda: coloured(HOPPER, "AVIF", icc_profiles.DISPLAY_P3, subsampling="4:2:0"),
    "adobe.jpeg": lambda: coloured(HOPPER, "JPEG", icc_profiles.ADOBE_RGB),
    "adobe.png": lambda: coloured(OBAMA_2009, "PNG", icc_profiles.ADOBE_RGB),
    "prophoto.jpeg": lambda: coloured(COLLINS, "JPEG", icc_profiles.PROPHOTO),
    "table-curves.jpeg": lambda: coloured(HOPPER, "JPEG", icc_profiles.TABLE_CURVES),
    "grey.jpeg": lambda: image_file("JPEG", Image.open(HOPPER).convert("L"), icc_profile=icc_profiles.GREY),
    "gamma-1.png": lambda: chunked(HOPPER, gamma_chunk(1)),
    "gamma-p3.png": lambda: chunked(HOPPER, gamma_chunk(0.6), (b"cHRM", struct.pack(">8I", *P3_CHROMATICITIES))),
    "cut-out.png": lambda: cut_out(HOPPER, "PNG"),
    "cut-out-p3.png": lambda: cut_out(COLLINS, "PNG", icc_profile=icc_profiles.DISPLAY_P3),
    "cut-out.webp": lambda: cut_out(OBAMA_2012, "WEBP"),
    "cmyk.jpeg": lambda: image_file("JPEG", Image.open(HOPPER).convert("CMYK")),
    "cmyk-profile.jpeg": lambda: image_file("JPEG", Image.open(HOPPER).convert("CMYK"), icc_profile=icc_profiles.CMYK),
    "scanner.jpeg": lambda: coloured(HOPPER, "JPEG", icc_profiles.SCANNER),
}


def several_faces() -> list[Path]:
    """The samples of the npm package: up to nine people each."""
    return sorted((faceapi_truth.models().parent / "demo").glob("sample*.jpg"))


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    chromium.require()
    made = {name: make() for name, make in CASES.items()}
    return made | {path.name: path.read_bytes() for path in several_faces()}


@pytest.fixture(scope="module")
def in_chromium(photos: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    return chromium.best_faces(photos)


@pytest.mark.parametrize("name", [*CASES, *(f"sample{number}.jpg" for number in range(1, 7))])
def test_the_face_that_a_page_chooses_has_the_pages_descriptor(
    name: str, photos: dict[str, bytes], in_chromium: dict[str, dict[str, Any]]
) -> None:
    found = in_chromium[name]
    encoding = encode(faceapi_truth.engine(), photos[name], Limits(), "best")
    assert np.abs(np.subtract(encoding.face.box, found["box"])).max() <= 0.501
    assert encoding.face.confidence == pytest.approx(found["score"], abs=1e-5)
    distance = float(np.linalg.norm(encoding.descriptor - found["descriptor"]))
    print(f"{name}: {encoding.face_count} faces, L2 {distance:.1e}")
    assert distance <= MAX_DISTANCE
