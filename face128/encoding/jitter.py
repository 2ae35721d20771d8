"""Jittered copies of a face: the mean of their descriptors varies less than a single descriptor.

The transformations are those of dlib's ``jitter_image`` (dlib/image_transforms/interpolation.h), which
face_recognition's ``num_jitters`` uses: rotated by up to 3 degrees, up to 3 % smaller, shifted by up to 2 %, half of
the copies mirrored. dlib draws them from a generator that continues between calls; here every photo gets the same
transformations, and so always the same descriptor.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_DEGREES = 3.0
MIN_SCALE, MAX_SCALE = 0.97, 0.99999  # of the face in the cropped box
MAX_SHIFT = 0.02  # of the box's side
BORDER_PX = 3  # that dlib leaves out on every side


def jittered_copies(chip: npt.NDArray[np.uint8 | np.float32], count: int) -> npt.NDArray[np.uint8]:
    """(side, side, 3) RGB to (count, side, side, 3). The first n copies are the same for every ``count``."""
    image = Image.fromarray(chip.round().astype(np.uint8))
    generator = np.random.default_rng(0)
    return np.stack([_jittered_copy(image, generator) for _ in range(count)])


def _jittered_copy(image: Image.Image, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    side = image.width
    box = (side - 2 * BORDER_PX) / generator.uniform(MIN_SCALE, MAX_SCALE)
    angle = math.radians(generator.uniform(-MAX_DEGREES, MAX_DEGREES))
    dx, dy = generator.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * box
    mirror = -1 if generator.random() > 0.5 else 1
    # Maps each pixel of the copy to the chip: around the centre, mirrored, scaled, rotated, then shifted.
    zoom, centre = box / side, side / 2
    a, b = zoom * math.cos(angle) * mirror, -zoom * math.sin(angle)
    d, e = zoom * math.sin(angle) * mirror, zoom * math.cos(angle)
    c = centre + dx - (a + b) * centre
    f = centre + dy - (d + e) * centre
    transform = (a, b, c, d, e, f)
    return np.asarray(image.transform((side, side), Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR))
