"""Reproduces dlib's image pyramid bit for bit, with maps of points to and from the photo.

``detector.run(image, 1)`` doubles the photo, then scales it by 5/6 again and again (image_pyramid.h, interpolation.h),
and searches each level for faces that fill the detector's window. Where a candidate is known from a cheaper scan, this
module computes the score and the box that dlib itself gives there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import dlib
import numpy as np
import numpy.typing as npt

from face128.engines.dlib.detection import Box
from face128.photos.codecs import RGB

STEP = 6 / 5  # from one level to the next: pyramid_down<6>
CELL_PX, WINDOW_PX = 8, 80  # of dlib's face detector
MIN_LEVEL_SIDE_PX = 64  # of the last level
FACE_WIDTH_PX = 72
"""Width of the detector's box around a face that fills its window; one more with both edges."""
DOUBLING_SHIFT_PX = 1.25, 0.75  # added to x and y before they are doubled (pyramid_down<2>, ``point_up``)
LEVEL_SHIFT_PX = 0.3  # from one level to the next (pyramid_down<6>, ``point_up``)
MAX_OFFSET = 0.3  # of the face's width: from the middle of the candidate to that of the face
MAX_LEVEL_OFFSET = 1.6  # levels, from the one that fits the candidate's width


class Pyramid:
    """The levels of one photo. Each is made from the one before it when it is first needed, and kept."""

    def __init__(self, rgb: RGB) -> None:
        height, width = rgb.shape[:2]
        # Just large enough for the doubled photo's last pixel.
        self._levels = [dlib.resize_image(rgb, 2 * height + 1, 2 * width + 2)]

    def search_around(self, detector: dlib.fhog_object_detector, candidate: Box) -> Iterator[tuple[Box, float]]:
        """Box and score of each face, of score 0 or more, close to the candidate in place and size.

        ``detector`` is a single-level one.
        """
        width = candidate[2] - candidate[0]
        best_level = math.log(2 * width / FACE_WIDTH_PX, STEP)
        last_level = math.floor(best_level + MAX_LEVEL_OFFSET)
        for n in range(max(0, math.ceil(best_level - MAX_LEVEL_OFFSET)), last_level + 1):
            level = self._level(n)
            if level is None:
                return
            middle = _to_level(np.array([candidate[:2], candidate[2:]]), n).mean(axis=0)
            max_offset = MAX_OFFSET * 2 * width / STEP**n
            # Two cells more than the window: cells at the edge of a picture differ from the same cells inside it.
            reach = max_offset + WINDOW_PX / 2 + 2 * CELL_PX
            start = np.maximum(0, middle - reach).astype(int) // CELL_PX * CELL_PX
            end = (middle + reach).astype(int)
            crop = np.ascontiguousarray(level[start[1] : end[1], start[0] : end[0]])
            for found, score in zip(*detector.run(crop, 0, 0.0)[:2], strict=True):
                corners = np.array([[found.left(), found.top()], [found.right(), found.bottom()]]) + start
                if (abs(corners.mean(axis=0) - middle) <= max_offset).all():
                    (left, top), (right, bottom) = np.floor(_to_photo(corners, n) + 0.5).astype(int).tolist()
                    yield (left, top, right, bottom), score

    def _level(self, n: int) -> RGB | None:
        """None if the level would be too small for dlib to search."""
        while len(self._levels) <= n:
            last = self._levels[-1]
            height, width = (side * 5 // 6 for side in last.shape[:2])
            if min(height, width) < MIN_LEVEL_SIDE_PX:
                return None
            self._levels.append(dlib.resize_image(last, height, width))
        level: RGB = self._levels[n]
        return level


def _to_level(points: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    points = (points + DOUBLING_SHIFT_PX) * 2
    for _ in range(n):
        points = (points - LEVEL_SHIFT_PX) / STEP
    return points


def _to_photo(points: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    for _ in range(n):
        points = points * STEP + LEVEL_SHIFT_PX
    return points / 2 - DOUBLING_SHIFT_PX
