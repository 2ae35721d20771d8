"""Cuts a face out of a photo so that some of its landmarks lie where a network was trained to see them.

Points are complex numbers, x + yi in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.photos.photo import RGB


def chip_to_photo(points: Sequence[complex], template: npt.NDArray[np.complex128]) -> tuple[complex, complex]:
    """``a`` and ``b`` such that pixel ``z`` of the chip is ``a * z + b`` in the photo.

    The rotation, scale and shift that fit ``points`` of the photo to ``template`` of the chip with least squares.
    """
    centre, template_centre = np.mean(points), template.mean()
    centred = np.array(points) - centre
    photo_to_chip = np.vdot(centred, template - template_centre) / np.vdot(centred, centred)
    return complex(1 / photo_to_chip), complex(centre - template_centre / photo_to_chip)


def cut_out(pixels: RGB, side: int, a: complex, b: complex, reduction: int = 1) -> RGB:
    """The chip of ``side`` pixels whose pixel ``z`` is ``a * z + b`` in the photo; black beyond the photo's edge.

    With ``reduction`` above 1 each pixel is taken from the average of so many by so many.
    """
    corner = 0j
    if reduction > 1:
        box = _surroundings(pixels, [a * corner + b for corner in (0, side, side * 1j, side + side * 1j)], reduction)
        if box is None:
            return np.zeros((side, side, 3), np.uint8)
        corner = complex(*box[:2])
        pixels = np.asarray(Image.fromarray(pixels).reduce(reduction, box))
    # Pillow counts from the corner of the first pixel, not from its centre.
    b += (1 - a) * (0.5 + 0.5j)
    a, b = a / reduction, (b - corner) / reduction
    return resample(pixels, (side, side), (a.real, -a.imag, b.real, a.imag, a.real, b.imag))


def _surroundings(pixels: RGB, corners: Sequence[complex], margin: int) -> tuple[int, int, int, int] | None:
    """The part of the photo within ``margin`` of the corners' bounding box; None if that is beyond its edge."""
    height, width = pixels.shape[:2]
    columns, rows = [corner.real for corner in corners], [corner.imag for corner in corners]
    left, top = max(0, math.floor(min(columns)) - margin), max(0, math.floor(min(rows)) - margin)
    right, bottom = min(width, math.ceil(max(columns)) + margin), min(height, math.ceil(max(rows)) + margin)
    return (left, top, right, bottom) if left < right and top < bottom else None


def resample(pixels: RGB, size: tuple[int, int], transform: tuple[float, ...]) -> RGB:
    """Bilinear without smoothing, as OpenCV does it and the networks were trained; black beyond the edge."""
    image = Image.fromarray(pixels)
    return np.asarray(image.transform(size, Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR))
