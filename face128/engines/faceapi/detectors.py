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

from face128.engines.faceapi.scaling import Scaling, Square, scale_to_square
from face128.engines.non_max_suppression import non_max_suppression
from face128.photos.canvas.drawing import Canvas

RunNetwork = Callable[[Square], list[npt.NDArray[np.float32]]]
"""One square in, the network's outputs out."""

SSD_SIDE_PX = 512
_SSD_MAX_IOU = 0.5  # SsdMobilenetv1.ts, iouThreshold
_SSD_MAX_FACES = 100  # SsdMobilenetv1Options.ts, maxResults
_TINY_MAX_IOU = 0.4  # src/tinyFaceDetector/const.ts, like the anchors
_TINY_ANCHORS = np.array(
    [(1.603231, 2.094468), (6.041143, 7.080126), (2.882459, 3.518061), (4.266906, 5.178857), (9.041765, 10.66308)]
)
"""Widths and heights of each cell's anchor boxes, in cells."""


@dataclass(frozen=True)
class Detection:
    """A face, in pixels of the photo, not rounded; it may reach over the edge."""

    x: float
    y: float
    width: float
    height: float
    score: float
    """0..1"""


def detect_ssd(run: RunNetwork, image: Canvas, scaling: Scaling, min_confidence: float) -> list[Detection]:
    """Every face that ssd_mobilenetv1 finds, the highest score first."""
    all_boxes, all_scores = run(scale_to_square(image, SSD_SIDE_PX, centred=False, scaling=scaling))
    likely = np.flatnonzero(all_scores[:, 0] > min_confidence)
    boxes, scores = all_boxes[likely].astype(np.float64)[:, [1, 0, 3, 2]], all_scores[likely, 0].astype(np.float64)
    kept = non_max_suppression(boxes, scores, _SSD_MAX_IOU)[:_SSD_MAX_FACES]
    return _detections(boxes[kept].clip(0, 1), scores[kept], image, SSD_SIDE_PX)


def detect_tiny(run: RunNetwork, image: Canvas, scaling: Scaling, score_threshold: float, side: int) -> list[Detection]:
    """Every face that tiny_face_detector finds on a square of ``side`` pixels, the highest score first."""
    (cells,) = run(scale_to_square(image, side, centred=False, scaling=scaling))
    count = math.isqrt(len(cells) // len(_TINY_ANCHORS))
    grid = cells.astype(np.float64).reshape(count, count, len(_TINY_ANCHORS), 5)
    scores = _sigmoid(grid[..., 4])
    row, column, anchor = likely = np.nonzero(scores > score_threshold)
    found, scores = grid[likely], scores[likely]
    centres = (np.stack([column, row], 1) + _sigmoid(found[:, :2])) / count
    half_sizes = np.exp(found[:, 2:4]) * _TINY_ANCHORS[anchor] / count / 2
    boxes = np.concatenate([centres - half_sizes, centres + half_sizes], 1)
    kept = non_max_suppression(boxes, scores, _TINY_MAX_IOU)
    return _detections(boxes[kept], scores[kept], image, side)


def _detections(
    boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], image: Canvas, side: int
) -> list[Detection]:
    """Boxes as shares of the square, in pixels of the photo; empty boxes are left out."""
    photo_size = image.shape[1::-1]
    scale = side / max(photo_size)
    # The photo's size in the square is rounded, as in face-api.js (computeReshapedDimensions), but at least one pixel.
    stretch = np.array([side / max(1, math.floor(length * scale + 0.5)) * length for length in photo_size])
    sizes = (boxes[:, 2:] - boxes[:, :2]) * stretch
    rows = np.column_stack([boxes[:, :2] * stretch, sizes, scores]).tolist()
    return [Detection(*row) for row, size in zip(rows, sizes, strict=True) if (size > 0).all()]


def _sigmoid(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-x.astype(np.float64)))
