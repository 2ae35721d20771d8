"""The pictures in which dlib's detector looks for faces of one photo, bit by bit, and the way from them to the photo.

What dlib does in ``detector.run(image, 1)`` (image_pyramid.h, interpolation.h): the photo is enlarged twice, then made
smaller by 5/6 again and again, and at each level the detector sees what fills its window. Where a face could be is
known more cheaply; here it can be asked for the detector's own score there, and for its own box.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import dlib
import numpy as np
import numpy.typing as npt

from face128.photos.codecs import RGB

STEP = 6 / 5  # from one level to the next: pyramid_down<6>
CELL, WINDOW, LEAST = 8, 80, 64  # pixels: of a cell and of the window of dlib's face detector, and of the last level
FACE = 72
"""Width in pixels of the box that it gives to what fills its window; one more with both edges."""
ENLARGED = 1.25, 0.75  # by how much x and y are shifted before they are doubled (pyramid_down<2>, ``point_up``)
SHIFT = 0.3  # of a pixel, from one level to the next (pyramid_down<6>, ``point_up``)
AROUND = 0.3  # of a face's width: how far from where it was supposed its middle is looked for
LEVELS = 1.6  # how many levels from the one at which it was supposed

Box = tuple[int, int, int, int]


class Pyramid:
    """Of one photo. A level is made when it is asked for, out of the one before it, and kept."""

    def __init__(self, rgb: RGB) -> None:
        height, width = rgb.shape[:2]
        # Where the photo's last pixel comes to lie, and that one too.
        self._levels = [dlib.resize_image(rgb, 2 * height + 1, 2 * width + 2)]

    def around(self, detector: dlib.fhog_object_detector, box: Box) -> Iterator[tuple[Box, float]]:
        """What the detector for a single level finds, of score 0 and more, near ``box`` and about as large."""
        width = box[2] - box[0]
        supposed = math.log(2 * width / FACE, STEP)
        for n in range(max(0, math.ceil(supposed - LEVELS)), math.floor(supposed + LEVELS) + 1):
            level = self._level(n)
            if level is None:
                return
            middle = _down(np.array([box[:2], box[2:]]), n).mean(axis=0)
            reach = AROUND * 2 * width / STEP**n
            # Two cells more than the window: at the edge of a picture, cells are not what they are inside.
            side = reach + WINDOW / 2 + 2 * CELL
            start = np.maximum(0, middle - side).astype(int) // CELL * CELL
            end = (middle + side).astype(int)
            piece = np.ascontiguousarray(level[start[1] : end[1], start[0] : end[0]])
            for found, score in zip(*detector.run(piece, 0, 0.0)[:2], strict=True):
                corners = np.array([[found.left(), found.top()], [found.right(), found.bottom()]]) + start
                if (abs(corners.mean(axis=0) - middle) <= reach).all():
                    (left, top), (right, bottom) = np.floor(_up(corners, n) + 0.5).astype(int).tolist()
                    yield (left, top, right, bottom), score

    def _level(self, n: int) -> RGB | None:
        """None where it would be smaller than what dlib looks at."""
        while len(self._levels) <= n:
            last = self._levels[-1]
            height, width = (side * 5 // 6 for side in last.shape[:2])
            if min(height, width) < LEAST:
                return None
            self._levels.append(dlib.resize_image(last, height, width))
        level: RGB = self._levels[n]
        return level


def _down(points: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """From the photo to the level."""
    points = (points + ENLARGED) * 2
    for _ in range(n):
        points = (points - SHIFT) / STEP
    return points


def _up(points: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """From the level to the photo."""
    for _ in range(n):
        points = points * STEP + SHIFT
    return points / 2 - ENLARGED
