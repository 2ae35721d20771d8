"""SCRFD, InsightFace's face detector (arXiv 2105.04714): runs the network, and reads faces out of what it gives.

The network looks at a square picture. At strides of 8, 16 and 32 pixels it judges each cell twice: a score, the
distances from the cell to the four sides of a box, and the offsets to five landmarks, both in units of the stride.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
ANCHORS = 2  # judgements a cell
LEAST_SCORE = 0.5  # the library's default
OVERLAP = 0.4  # the library's default: above it, two boxes are one face
MEAN, SCALE = 127.5, 128.0  # of the pixels, as the networks were trained


@dataclass(frozen=True)
class Found:
    """Faces, the highest score first, in pixels of the picture."""

    scores: Floats
    """(n,) 0..1"""
    boxes: Floats
    """(n, 4): left, top, right, bottom"""
    points: Floats
    """(n, 5, 2) x and y: the eye on the picture's left, the other, the nose, the corners of the mouth"""


class Scrfd:
    """Thread-safe: the session is only read."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def find(self, picture: npt.NDArray[np.uint8]) -> Found:
        """Every face in a square RGB picture, (side, side, 3), side a multiple of 32.

        Raises ValueError where the network's outputs are not SCRFD's.
        """
        pixels = (picture.transpose(2, 0, 1)[None].astype(np.float32) - MEAN) / SCALE
        outputs = self._session.run(None, {self._input: pixels})
        kinds = (outputs[first : first + len(STRIDES)] for first in (0, 3, 6))
        levels = [_read(stride, len(picture) // stride, *level) for stride, *level in zip(STRIDES, *kinds, strict=True)]
        return _merge(Found(*(np.concatenate(parts) for parts in zip(*levels, strict=True))))


def _read(stride: int, cells: int, scores: Floats, sides: Floats, offsets: Floats) -> tuple[Floats, Floats, Floats]:
    """The scores, boxes and points of one stride that are good enough, in pixels; ``cells`` is how many a row has."""
    rows = ANCHORS * cells**2
    # Some files have a batch axis in their outputs, others have not.
    scores, sides, offsets = scores.reshape(rows), sides.reshape(rows, 4), offsets.reshape(rows, 5, 2)
    good = np.flatnonzero(scores >= LEAST_SCORE)
    row, column = np.divmod(good // ANCHORS, cells)
    corners = np.stack([column, row], axis=1).astype(np.float32) * stride
    near, far = sides[good, :2] * stride, sides[good, 2:] * stride
    points = corners[:, None] + offsets[good] * stride
    return scores[good], np.concatenate([corners - near, corners + far], axis=1), points


def _merge(found: Found) -> Found:
    """Of boxes that overlap, the one with the highest score (greedy non-maximum suppression)."""
    left, top, right, bottom = found.boxes.T
    areas = (right - left) * (bottom - top)
    rest = np.argsort(-found.scores, kind="stable")
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        widths = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        heights = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        common = widths.clip(0) * heights.clip(0)
        rest = rest[common <= OVERLAP * (areas[best] + areas[rest] - common)]
    return Found(found.scores[kept], found.boxes[kept], found.points[kept])
