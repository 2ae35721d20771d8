"""ArcFace (arXiv 1801.07698): aligns a face to the template that its networks are trained on, and runs the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from face128.domain.descriptors import Descriptors
from face128.engines.base import Chips
from face128.engines.insightface.pack import PackNetwork

DIMENSION = 512
BATCH_CHIPS = 8
"""Maximum of chips in one run: it bounds memory."""
PIXEL_SCALE = 127.5
"""The network's input is (pixel - 127.5) / 127.5, unless the graph computes that itself."""

# Where the five landmarks belong on a chip of 112 pixels, x + yi: the positions that InsightFace publishes with its
# training data (the SphereFace template, moved 8 pixels to the right).
TEMPLATE = np.array(
    [38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j]
)


def chip_to_photo(points: Sequence[complex]) -> tuple[complex, complex]:
    """``a`` and ``b`` such that pixel ``z`` of the chip, as x + yi, is ``a * z + b`` in the photo.

    The rotation, scale and shift that fit the five landmarks ``points``, x + yi, to the template with least squares.
    """
    centre, template_centre = np.mean(points), TEMPLATE.mean()
    centred = np.array(points) - centre
    photo_to_chip = np.vdot(centred, TEMPLATE - template_centre) / np.vdot(centred, centred)
    return complex(1 / photo_to_chip), complex(centre - template_centre / photo_to_chip)


class ArcfaceRecogniser:
    """Thread-safe: the session is only read."""

    def __init__(self, session: onnxruntime.InferenceSession, network: PackNetwork) -> None:
        self._session = session
        self._input_name = session.get_inputs()[0].name
        # Graphs converted from MXNet begin by subtracting the mean and multiplying by the scale.
        self._takes_pixels = {"Sub", "Mul"} <= set(network.operators[:8])
        # Dynamic quantisation measures the whole batch: a descriptor would depend on the other chips in it.
        one_by_one = "DynamicQuantizeLinear" in network.operators or network.input_shape[0] == 1
        self._batch_chips = 1 if one_by_one else BATCH_CHIPS

    def describe(self, chips: Chips) -> Descriptors:
        """Describe n >= 0 chips, (n, 112, 112, 3) RGB: (n, 512) float32, each of length 1."""
        descriptors = np.empty((len(chips), DIMENSION), np.float32)
        for start in range(0, len(chips), self._batch_chips):
            batch = slice(start, start + self._batch_chips)
            pixels = chips[batch].transpose(0, 3, 1, 2).astype(np.float32)
            if not self._takes_pixels:
                pixels = (pixels - PIXEL_SCALE) / PIXEL_SCALE
            (descriptors[batch],) = self._session.run(None, {self._input_name: pixels})
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        return descriptors
