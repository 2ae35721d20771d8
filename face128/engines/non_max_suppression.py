"""Greedy non-maximum suppression, as face-api.js and InsightFace both do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def non_max_suppression(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], max_iou: float) -> list[int]:
    """Indices of the boxes to keep, the best first: of boxes that overlap, the one with the highest score.

    Boxes are (n, 4): left, top, right, bottom. Two overlap if their intersection is more than ``max_iou`` of their
    union.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    rest = np.argsort(-scores, kind="stable")
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(int(best))
        sides = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2])
        shared = sides.clip(0).prod(1)
        rest = rest[shared <= max_iou * (areas[best] + areas[rest] - shared)]
    return kept
