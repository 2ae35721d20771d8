"""SCRFD, InsightFace's face detector (arXiv 2105.04714): runs the network and decodes its outputs.

The network takes a square picture. At strides of 8, 16 and 32 pixels it has two anchors in each cell. Each gives a
score, the distances from the cell to the four sides of a box, and the offsets to five landmarks, both in units of the
stride.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face128.engines.non_max_suppression import non_max_suppression
from face128.engines.onnx.sessions import InferenceSession

Floats = npt.NDArray[np.float32]
Detections = tuple[Floats, Floats, Floats]
"""Of n faces: scores (n,), 0..1; boxes (n, 4): left, top, right, bottom; landmarks (n, 5, 2), x and y: the eye on the
picture's left, the other, the nose, the corners of the mouth. In pixels of the picture."""

STRIDES_PX = (8, 16, 32)
ANCHORS_PER_CELL = 2
MIN_SCORE = 0.5  # the library's default
MAX_IOU = 0.4  # the library's default
PIXEL_MEAN, PIXEL_SCALE = 127.5, 128.0  # as the networks were trained


def detect_scrfd(session: InferenceSession, picture: npt.NDArray[np.uint8]) -> Detections:
    """Every face in a square RGB picture, the highest score first: (side, side, 3) uint8, side a multiple of 32.

    Raises ValueError if the network's outputs are not SCRFD's.
    """
    pixels = (picture.transpose(2, 0, 1)[None].astype(np.float32) - PIXEL_MEAN) / PIXEL_SCALE
    outputs = session.run(None, {session.get_inputs()[0].name: pixels})
    by_kind = (outputs[first : first + len(STRIDES_PX)] for first in (0, 3, 6))
    by_stride = [
        _decode(stride, len(picture) // stride, *tensors) for stride, *tensors in zip(STRIDES_PX, *by_kind, strict=True)
    ]
    scores, boxes, points = (np.concatenate(parts) for parts in zip(*by_stride, strict=True))
    kept = non_max_suppression(boxes, scores, MAX_IOU)
    return scores[kept], boxes[kept], points[kept]


def _decode(stride: int, cells: int, scores: Floats, sides: Floats, offsets: Floats) -> Detections:
    """The anchors with a score of at least MIN_SCORE, of a grid of ``cells`` * ``cells``."""
    rows = ANCHORS_PER_CELL * cells**2
    # Some files have a batch axis in their outputs, others have not.
    scores, sides, offsets = scores.reshape(rows), sides.reshape(rows, 4), offsets.reshape(rows, 5, 2)
    good = np.flatnonzero(scores >= MIN_SCORE)
    row, column = np.divmod(good // ANCHORS_PER_CELL, cells)
    corners = np.stack([column, row], axis=1).astype(np.float32) * stride
    left_top, right_bottom = sides[good, :2] * stride, sides[good, 2:] * stride
    points = corners[:, None] + offsets[good] * stride
    return scores[good], np.concatenate([corners - left_top, corners + right_bottom], axis=1), points
