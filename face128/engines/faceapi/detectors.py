"""face-api.js's two detectors, from pixels to boxes: ssd_mobilenetv1 and tiny_face_detector.

The specification is the source of @vladmandic/face-api 1.7.15: src/ssdMobilenetv1, src/tinyYolov2 and
src/tinyFaceDetector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.engines.faceapi.scaling import Scaling, Square, to_square
from face128.photos.codecs import RGB

Run = Callable[[Square], list[npt.NDArray[np.float32]]]
"""A network: one square in, its outputs out."""

_Boxes = npt.NDArray[np.float64]
"""(n, 4): left, top, right, bottom."""

_SSD_SIDE = 512
_SSD_OVERLAP = 0.5  # SsdMobilenetv1.ts, iouThreshold
_SSD_MOST = 100  # SsdMobilenetv1Options.ts, maxResults
_TINY_OVERLAP = 0.4  # src/tinyFaceDetector/const.ts, as the next
_TINY_ANCHORS = np.array(
    [(1.603231, 2.094468), (6.041143, 7.080126), (2.882459, 3.518061), (4.266906, 5.178857), (9.041765, 10.66308)]
)
"""Widths and heights of the boxes that stand in each cell, in cells."""


@dataclass(frozen=True)
class Detection:
    """A face, in pixels of the photo, not rounded; it may reach over the edge."""

    x: float
    y: float
    width: float
    height: float
    score: float
    """0..1"""


def find_ssd(run: Run, image: RGB, scaling: Scaling, min_confidence: float) -> list[Detection]:
    """Every face that ssd_mobilenetv1 finds, the highest score first."""
    places, scores = run(to_square(image, _SSD_SIDE, centred=False, scaling=scaling))
    likely = np.flatnonzero(scores[:, 0] > min_confidence)
    boxes, scores = places[likely].astype(np.float64)[:, [1, 0, 3, 2]], scores[likely, 0].astype(np.float64)
    kept = _suppress(boxes, scores, _SSD_OVERLAP)[:_SSD_MOST]
    return _detections(boxes[kept].clip(0, 1), scores[kept], image, _SSD_SIDE)


def find_tiny(run: Run, image: RGB, scaling: Scaling, score_threshold: float, side: int) -> list[Detection]:
    """Every face that tiny_face_detector finds on a square of ``side`` pixels, the highest score first."""
    (cells,) = run(to_square(image, side, centred=False, scaling=scaling))
    count = math.isqrt(len(cells) // len(_TINY_ANCHORS))
    grid = cells.astype(np.float64).reshape(count, count, len(_TINY_ANCHORS), 5)
    scores = _sigmoid(grid[..., 4])
    row, column, anchor = likely = np.nonzero(scores > score_threshold)
    found, scores = grid[likely], scores[likely]
    centres = (np.stack([column, row], 1) + _sigmoid(found[:, :2])) / count
    halves = np.exp(found[:, 2:4]) * _TINY_ANCHORS[anchor] / count / 2
    boxes = np.concatenate([centres - halves, centres + halves], 1)
    kept = _suppress(boxes, scores, _TINY_OVERLAP)
    return _detections(boxes[kept], scores[kept], image, side)


def _detections(boxes: _Boxes, scores: npt.NDArray[np.float64], image: RGB, side: int) -> list[Detection]:
    """Boxes as shares of the square, whose end is black, to pixels of the photo."""
    sides = image.shape[1::-1]
    scale = side / max(sides)
    # face-api.js takes the photo for as large in the square as it is after rounding (computeReshapedDimensions).
    # A photo can be thinner than one pixel of the square.
    stretch = np.array([side / max(1, math.floor(length * scale + 0.5)) * length for length in sides])
    found = []
    for box, score in zip(boxes, scores, strict=True):
        (x, y), (width, height) = box[:2] * stretch, (box[2:] - box[:2]) * stretch
        if width > 0 and height > 0:
            found.append(Detection(float(x), float(y), float(width), float(height), float(score)))
    return found


def _suppress(boxes: _Boxes, scores: npt.NDArray[np.float64], most: float) -> list[int]:
    """Indices of the boxes, the best first, that overlap no better one by more than ``most`` of their union."""
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        sides = np.minimum(boxes[i, 2:], boxes[kept, 2:]) - np.maximum(boxes[i, :2], boxes[kept, :2])
        shared = sides.clip(0).prod(1)
        if (shared <= most * (sizes[i] + sizes[kept] - shared)).all():
            kept.append(int(i))
    return kept


def _sigmoid(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-x.astype(np.float64)))
