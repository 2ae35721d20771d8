"""The portraits of fixtures/photos at any size, as JPEGs like those of a phone."""

from __future__ import annotations

import io
import math
from functools import cache

from PIL import Image

from benchmarks.harness import ROOT

PORTRAITS = ("biden-2010.jpg", "hopper-1984.jpg", "obama-2009.jpg", "obama-2010.jpg", "obama-2012.jpg")
"""Photos of one face each."""
JPEG_QUALITY = 90


@cache
def portraits(megapixels: float) -> tuple[bytes, ...]:
    """Every portrait as a JPEG of this size, with its proportions."""
    photos = []
    for name in PORTRAITS:
        image = Image.open(ROOT / "fixtures" / "photos" / name).convert("RGB")
        scale = math.sqrt(megapixels * 1e6 / (image.width * image.height))
        size = round(image.width * scale), round(image.height * scale)
        file = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=JPEG_QUALITY)
        photos.append(file.getvalue())
    return tuple(photos)
