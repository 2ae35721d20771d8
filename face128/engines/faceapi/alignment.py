"""From a detection to the square that face-api.js describes: crop, 68 landmarks, alignDlib.

One pixel of that square is worth 0.05 to 0.1 of distance, hence every floor here is face-api.js's own. The
specification is the source of @vladmandic/face-api 1.7.15: src/classes/Box.ts, FaceLandmarks.ts and
src/faceLandmarkNet/FaceLandmark68NetBase.ts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face128.engines.faceapi.detectors import Detection, Run
from face128.engines.faceapi.scaling import Scaling, to_square
from face128.photos.codecs import RGB

Rectangle = tuple[int, int, int, int]
"""(left, top, right, bottom), whole pixels inside the photo."""

Points = npt.NDArray[np.float64]
"""(68, 2): x and y in pixels, in the order of the 300-W landmarks."""

LEFT_EYE, RIGHT_EYE, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)

_SIDE = 112
# FaceLandmarks.ts: where the middle of eyes and mouth lies in the square, and the square's share from eyes to mouth.
_REL_X, _REL_Y, _REL_SCALE = 0.5, 0.43, 0.45


def inner(image: RGB, detection: Detection, scaling: Scaling) -> Rectangle:
    """The part of the detection inside the photo, which is what the landmark network sees."""
    height, width = image.shape[:2]
    # forSize: to shares of the photo and back, which may change the last bit, and so a floor.
    box = [
        value * (1 / length) * length
        for value, length in zip(
            (detection.x, detection.y, detection.width, detection.height), (width, height) * 2, strict=True
        )
    ]
    if scaling == "canvas":
        box = [math.floor(value) for value in box]
    return _clip(*box, width=width, height=height)


def find_landmarks(run: Run, image: RGB, box: Rectangle, detection: Detection, scaling: Scaling) -> Points:
    """68 points, in pixels of the photo."""
    left, top, right, bottom = box
    size = np.array([right - left, bottom - top])
    scaled = size * (_SIDE / size.max())
    (shares,) = run(to_square(image[top:bottom, left:right], _SIDE, centred=True, scaling=scaling))
    padding = ((scaled.max() - scaled) / 2).astype(np.float32)
    relative = (shares.reshape(68, 2) * np.float32(_SIDE) - padding) / scaled.astype(np.float32)
    points: Points = relative.astype(np.float64) * size + (detection.x, detection.y)
    return points


def align(points: Points, box: Rectangle, image: RGB) -> Rectangle:
    """The upright square around eyes and mouth (alignDlib), cut off at the photo's edges."""
    centres = np.array([points[part].mean(0) for part in (LEFT_EYE, RIGHT_EYE, MOUTH)])
    reach = np.hypot(*(centres[:2] - centres[2]).T).mean()
    size = math.floor(reach / _REL_SCALE)
    middle_x, middle_y = centres.mean(0)
    x = math.floor(max(0, middle_x - _REL_X * size))
    y = math.floor(max(0, middle_y - _REL_Y * size))
    left, top, right, bottom = box
    # It takes the crop for the photo here: where that is narrower than the square, the square is cut.
    width, height = min(size, right - left + x), min(size, bottom - top + y)
    return _clip(x, y, width, height, width=image.shape[1], height=image.shape[0])


def _clip(x: float, y: float, w: float, h: float, *, width: int, height: int) -> Rectangle:
    """Box.clipAtImageBorders. Empty (right <= left, bottom <= top) where nothing is inside the photo."""
    left, top = max(x, 0), max(y, 0)
    right = math.floor(min(x + w - left, width - left))
    bottom = math.floor(min(y + h - top, height - top))
    return math.floor(left), math.floor(top), math.floor(left) + right, math.floor(top) + bottom
