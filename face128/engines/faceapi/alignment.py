"""From a detection to the square that face-api.js describes: crop, 68 landmarks, alignDlib.

Shifting that square by one pixel changes the descriptor by 0.05 to 0.1, hence every floor here is face-api.js's own.
The specification is the source of @vladmandic/face-api 1.7.15: src/classes/Box.ts, FaceLandmarks.ts and
src/faceLandmarkNet/FaceLandmark68NetBase.ts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face128.engines.faceapi.detectors import Detection, RunNetwork
from face128.engines.faceapi.scaling import Scaling, scale_to_square
from face128.photos.canvas.drawing import Canvas

Rectangle = tuple[int, int, int, int]
"""(left, top, right, bottom), whole pixels inside the photo."""

Points = npt.NDArray[np.float64]
"""(68, 2): x and y in pixels, in the order of the 300-W landmarks."""

LEFT_EYE, RIGHT_EYE, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)

_NETWORK_SIDE_PX = 112
# FaceLandmarks.ts: where the middle of eyes and mouth lies in the square, and the distance from eyes to mouth, as
# shares of the square's side.
_REL_X, _REL_Y, _REL_SCALE = 0.5, 0.43, 0.45


def clip_detection(image: Canvas, detection: Detection, scaling: Scaling) -> Rectangle:
    """The part of the detection inside the photo: the input of the landmark network."""
    size = np.array([*image.shape[1::-1]] * 2)
    # forSize: to shares of the photo and back, which may change the last bit, and so a floor.
    box = np.array([detection.x, detection.y, detection.width, detection.height]) * (1 / size) * size
    return _clip(*(np.floor(box) if scaling == "canvas" else box).tolist(), image=image)


def find_landmarks(run: RunNetwork, image: Canvas, box: Rectangle, detection: Detection, scaling: Scaling) -> Points:
    left, top, right, bottom = box
    size = np.array([right - left, bottom - top])
    scaled_size = size * (_NETWORK_SIDE_PX / size.max())
    (shares,) = run(scale_to_square(image[top:bottom, left:right], _NETWORK_SIDE_PX, centred=True, scaling=scaling))
    padding = ((scaled_size.max() - scaled_size) / 2).astype(np.float32)
    relative = (shares.reshape(68, 2) * np.float32(_NETWORK_SIDE_PX) - padding) / scaled_size.astype(np.float32)
    points: Points = relative.astype(np.float64) * size + (detection.x, detection.y)
    return points


def align(points: Points, box: Rectangle, image: Canvas) -> Rectangle:
    """The upright square around eyes and mouth (alignDlib), clipped to the photo."""
    centres = np.array([points[part].mean(0) for part in (LEFT_EYE, RIGHT_EYE, MOUTH)])
    eye_to_mouth = np.hypot(*(centres[:2] - centres[2]).T).mean()
    side = math.floor(eye_to_mouth / _REL_SCALE)
    middle_x, middle_y = centres.mean(0)
    x = math.floor(max(0, middle_x - _REL_X * side))
    y = math.floor(max(0, middle_y - _REL_Y * side))
    left, top, right, bottom = box
    # face-api.js passes the size of the crop for that of the photo here: a narrower crop cuts the square.
    width, height = min(side, right - left + x), min(side, bottom - top + y)
    return _clip(x, y, width, height, image=image)


def _clip(x: float, y: float, width: float, height: float, *, image: Canvas) -> Rectangle:
    """Box.clipAtImageBorders. Empty (right <= left or bottom <= top) if nothing is inside the photo."""
    left, top = max(x, 0), max(y, 0)
    clipped_width = math.floor(min(x + width - left, image.shape[1] - left))
    clipped_height = math.floor(min(y + height - top, image.shape[0] - top))
    return math.floor(left), math.floor(top), math.floor(left) + clipped_width, math.floor(top) + clipped_height
