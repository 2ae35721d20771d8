"""Slightly moved copies of a face: the mean of their descriptors is steadier than one descriptor alone.

The moves are those of dlib's ``jitter_image`` (dlib/image_transforms/interpolation.h), behind face_recognition's
``num_jitters``: turned by up to 3 degrees, up to 3 % smaller, moved by up to 2 %, every other one mirrored. dlib draws
them from a generator that runs on between calls; here a photo always gets the same moves, and so the same descriptor.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_DEGREES = 3.0
MIN_SCALE, MAX_SCALE = 0.97, 0.99999  # of the face in the cropped box
MAX_SHIFT = 0.02  # of the box
BORDER = 3  # pixels that dlib leaves out on every side


def jittered(chip: npt.NDArray[np.uint8 | np.float32], count: int) -> npt.NDArray[np.uint8]:
    """(side, side, 3) RGB to (count, side, side, 3): always the same ``count`` moves, the first n those of any n."""
    image = Image.fromarray(chip.round().astype(np.uint8))
    moves = np.random.default_rng(0)
    return np.stack([_moved(image, moves) for _ in range(count)])


def _moved(image: Image.Image, moves: np.random.Generator) -> npt.NDArray[np.uint8]:
    side = image.width
    box = (side - 2 * BORDER) / moves.uniform(MIN_SCALE, MAX_SCALE)
    angle = math.radians(moves.uniform(-MAX_DEGREES, MAX_DEGREES))
    dx, dy = moves.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * box
    mirror = -1 if moves.random() > 0.5 else 1
    # Where each pixel of the copy comes from: around the centre, mirrored, scaled, turned, then moved.
    zoom, centre = box / side, side / 2
    a, b = zoom * math.cos(angle) * mirror, -zoom * math.sin(angle)
    d, e = zoom * math.sin(angle) * mirror, zoom * math.cos(angle)
    c = centre + dx - (a + b) * centre
    f = centre + dy - (d + e) * centre
    transform = (a, b, c, d, e, f)
    return np.asarray(image.transform((side, side), Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR))
