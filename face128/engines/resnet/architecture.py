"""The architecture of the descriptor network, which dlib and face-api.js share, and its weights as arrays.

A ResNet of 29 convolutions: a stem (7x7, stride 2, then a 3x3 maximum, stride 2), 14 blocks of two 3x3 convolutions,
the global average and a projection to 128 numbers. The readers of weight files (dlib/dat_file.py,
faceapi/resnet_weights.py) return ``ResnetWeights``; network.py makes an ONNX graph of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
FilterShape = tuple[int, int, int, int]
"""Output channels, input channels, rows, columns."""

CHIP_SIDE_PX = 150
DIMENSION = 128
STEM_SHAPE: FilterShape = (32, 3, 7, 7)


@dataclass(frozen=True)
class ResidualBlock:
    channels_in: int
    channels: int
    down: bool
    """Halves the image: the first convolution has stride 2 and no padding, and the shortcut is the 2x2 average."""

    @property
    def shapes(self) -> tuple[FilterShape, FilterShape]:
        """Of the two convolutions' filters."""
        return (self.channels, self.channels_in, 3, 3), (self.channels, self.channels, 3, 3)


# From the input on: anet_type in dlib's dnn_face_recognition_ex.cpp.
_CHANNELS = [32] * 3 + [64] * 4 + [128] * 3 + [256] * 4
BLOCKS = tuple(
    ResidualBlock(*channels, down=i in (3, 7, 10, 13)) for i, channels in enumerate(pairwise([32, *_CHANNELS]))
)


@dataclass(frozen=True)
class Convolution:
    """A convolution and the affine layer after it: ``gamma * (filters * x + biases) + beta``, channel by channel."""

    filters: Floats
    biases: Floats
    gamma: Floats
    beta: Floats

    def folded(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The same as one convolution: its filters and biases, in float64."""
        gamma = self.gamma.astype(np.float64)
        return self.filters * gamma[:, None, None, None], self.biases * gamma + self.beta


@dataclass(frozen=True)
class ResnetWeights:
    mean: tuple[float, float, float]
    """Of red, green and blue, 0..255: subtracted from each pixel."""
    scale: float
    """Each pixel is divided by it, after the mean."""
    stem: Convolution
    blocks: tuple[tuple[Convolution, Convolution], ...]
    """One pair for each of BLOCKS."""
    projection: Floats
    """(channels, 128): the descriptor is ``averages @ projection``, without a bias and not normalised."""
