"""Grey copies of a photo at the scales of dlib's image pyramid, and how small a JPEG may be decoded for them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.engines.dlib.detection import PointMap
from face128.photos.photo import SHRINKS, Photo

MIN_CHIP_FACE_PX = 150  # width of a face in the decoded photo: at least the chip's, so that it is never enlarged

# Of the longest side of a picture that copies are made from, where it is reduced first: copying 1 megapixel takes 1 ms,
# a quarter of it 0.3 ms. Copies of a smaller photo are made from the photo itself.
MIN_REDUCED_SIDE_PX = 250

# dlib shifts the picture by a fraction of a pixel at each level of its pyramid; at any level it adds up to this.
# Found by comparing boxes with exact's: at 0.6 three quarters are the same to a pixel, at 0 one quarter.
PHASE_PX = 0.6


def pyramid_scale(scale: float, rounding: Callable[[float], int] = math.ceil) -> float:
    """The scale of exact's pyramid (2 at the top) next below ``scale``; with ``round`` the nearest."""
    levels = math.log(scale / 2) / math.log(5 / 6)
    return 2.0 * (5 / 6) ** max(0, rounding(round(levels, 9)))


def grey_copy(photo: Photo, scale: float, phase_px: float = PHASE_PX) -> tuple[npt.NDArray[np.uint8], PointMap]:
    """A grey copy that begins ``phase_px`` of its own pixels inside the photo, and the map from it to the photo."""
    shrink = _largest_shrink(photo, 1 / scale)
    most = min(1 / scale, max(photo.width, photo.height) / MIN_REDUCED_SIDE_PX) / shrink
    reduced = max(n for n in SHRINKS if n == 1 or n <= most)
    grey, shrink = photo.grey(shrink, reduced), shrink * reduced
    right, lower = photo.width / shrink, photo.height / shrink  # the last column and row may be fractions
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    left, top = phase_px * right / size[0], phase_px * lower / size[1]
    copy = grey.resize(size, Image.Resampling.BOX, box=(left, top, right, lower))
    x_step, y_step = (photo.width - left * shrink) / size[0], (photo.height - top * shrink) / size[1]
    return np.asarray(copy), lambda x, y: (round(x * x_step + left * shrink), round(y * y_step + top * shrink))


def chip_shrink(photo: Photo, face_width: int) -> int:
    """The largest shrink at which a face of ``face_width`` pixels still has enough pixels for its chip."""
    return _largest_shrink(photo, face_width / MIN_CHIP_FACE_PX)


def _largest_shrink(photo: Photo, limit: float) -> int:
    """At most ``limit``, and with some 1000 pixels left on the longest side: one decoding serves search and chip."""
    limit = min(limit, max(photo.width, photo.height) // 900)
    return max(n for n in photo.shrinks if n == 1 or n <= limit)
