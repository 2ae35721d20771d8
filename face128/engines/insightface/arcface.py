"""ArcFace (arXiv 1801.07698): lays a face on the template that its networks are trained on, and runs such a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from face128.domain.descriptors import Descriptors
from face128.engines.base import Chips
from face128.engines.insightface.pack import Graph

DIMENSION = 512
BATCH = 8
"""Most chips that go in at once: memory stays bounded by it."""
SCALE = 127.5
"""Pixels go in as (pixel - 127.5) / 127.5, unless the graph does that itself."""

# Where the five landmarks belong on a chip of 112 pixels, x + yi: the positions that InsightFace publishes with its
# training data (the SphereFace template, moved 8 pixels to the right).
TEMPLATE = np.array(
    [38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j]
)


def placing(points: Sequence[complex]) -> tuple[complex, complex]:
    """``a`` and ``b`` for which the pixel ``z`` of the chip, as x + yi, comes from ``a * z + b`` of the photo.

    The turn, scale and shift that lay the five landmarks, x + yi, on the template with the least squares.
    """
    middle, template_middle = np.mean(points), TEMPLATE.mean()
    spread = np.array(points) - middle
    forth = np.vdot(spread, TEMPLATE - template_middle) / np.vdot(spread, spread)
    return complex(1 / forth), complex(middle - template_middle / forth)


class Recogniser:
    """Thread-safe: the session is only read."""

    def __init__(self, session: onnxruntime.InferenceSession, graph: Graph) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        # Graphs that came from MXNet begin by subtracting the mean and multiplying with the scale.
        self._takes_pixels = {"Sub", "Mul"} <= set(graph.kinds[:8])
        # These measure their numbers over the whole batch: a descriptor would depend on whose chips came along.
        alone = "DynamicQuantizeLinear" in graph.kinds or graph.shape[0] == 1
        self._batch = 1 if alone else BATCH

    def describe(self, chips: Chips) -> Descriptors:
        """Describe n >= 0 chips, (n, 112, 112, 3) RGB: (n, 512) float32, each of length 1."""
        descriptors = np.empty((len(chips), DIMENSION), np.float32)
        for start in range(0, len(chips), self._batch):
            batch = slice(start, start + self._batch)
            pixels = chips[batch].transpose(0, 3, 1, 2).astype(np.float32)
            if not self._takes_pixels:
                pixels = (pixels - SCALE) / SCALE
            (descriptors[batch],) = self._session.run(None, {self._input: pixels})
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        return descriptors
