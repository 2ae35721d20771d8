"""The architecture of the descriptor network, which dlib and face-api.js share, and its weights as arrays.

A ResNet of 29 convolutions: a stem (7x7, stride 2, then a 3x3 maximum, stride 2), 14 blocks of two 3x3 convolutions,
the global average and a projection to 128 numbers. The readers of weight files (dlib/dat_file.py,
faceapi/resnet_weights.py) return ``ResnetWeights``; onnx_graph.py makes an ONNX graph of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CHIP_SIDE_PX = 150
DIMENSION = 128
STEM_SHAPE = (32, 3, 7, 7)
"""Of the stem's filters: output channels, input channels, rows, columns."""


@dataclass(frozen=True)
class ResidualBlock:
    channels_in: int
    channels: int
    down: bool
    """Halves the image: the first convolution has stride 2, and the shortcut is the 2x2 average."""

    @property
    def stride(self) -> int:
        """Of the first convolution; the second has 1."""
        return 2 if self.down else 1

    @property
    def padding(self) -> int:
        """Zeros around the input of the first convolution; the second has 1."""
        return 0 if self.down else 1

    @property
    def shapes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Shapes of the two convolutions' filters."""
        return (self.channels, self.channels_in, 3, 3), (self.channels, self.channels, 3, 3)


def _blocks() -> Iterator[ResidualBlock]:
    channels_in = STEM_SHAPE[0]
    # (channels, begins with a down block, blocks) from the input on: anet_type in dlib's dnn_face_recognition_ex.cpp.
    for channels, down, count in (32, False, 3), (64, True, 4), (128, True, 3), (256, True, 3), (256, True, 1):
        for i in range(count):
            yield ResidualBlock(channels_in, channels, down and i == 0)
            channels_in = channels


BLOCKS = tuple(_blocks())


@dataclass(frozen=True)
class Convolution:
    """A convolution and the affine layer after it: ``gamma * (filters * x + biases) + beta``, channel by channel."""

    filters: Floats
    """(output channels, input channels, rows, columns)"""
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
