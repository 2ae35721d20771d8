"""Reads dlib_face_recognition_resnet_model_v1.dat, dlib's own serialisation of its network.

Everything in the file but the weights is known beforehand and is compared, not trusted; a size is checked before any
bytes are read. Format: dlib/serialize.h and dlib/dnn/core.h, layers.h, input.h, loss.h (serialize).
"""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np

from face128.engines.resnet import architecture
from face128.engines.resnet.architecture import BLOCKS, Convolution, FilterShape, Floats, ResnetWeights
from face128.errors import ConfigurationError

# The version numbers at the start of dlib's layers, outermost first: 1 for a tag or a skip, 2 for any other layer.
_PLAIN_BLOCK_VERSIONS = (2, 2, 2, 2, 2, 2, 2, 1)
_DOWN_BLOCK_VERSIONS = (2, 2, 2, 1, 1, 2, 2, 2, 2, 2, 1)


class _DatReader:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)  # its slices are no copies
        self._position = 0

    def _refuse(self, reason: str) -> NoReturn:
        raise ConfigurationError(f"This is not dlib's face recognition network: {reason} at byte {self._position}.")

    def _read(self, count: int) -> memoryview:
        chunk = self._data[self._position : self._position + count]
        if len(chunk) < count:
            self._refuse("the file ends too early")
        self._position += count
        return chunk

    def integer(self) -> int:
        # The low four bits count the bytes of the magnitude, the highest is the sign.
        control = self._read(1)[0]
        magnitude = int.from_bytes(self._read(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def number(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        # Larger exponents are dlib's codes for infinity and NaN (32000 to 32002), or do not fit a float.
        if abs(exponent) > 200:
            self._refuse("a number that is not finite")
        return math.ldexp(mantissa, exponent)

    def expect(self, *values: int) -> None:
        for value in values:
            if self.integer() != value:
                self._refuse("an unexpected value")

    def expect_name(self, name: str) -> None:
        self.expect(len(name))
        if self._read(len(name)) != name.encode():
            self._refuse(f"no {name}")

    def tensor(self, *shape: int) -> Floats:
        self.expect(2, *shape)
        values = np.frombuffer(self._read(4 * math.prod(shape)), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            self._refuse("a weight that is not finite")
        return values.astype(np.float32, copy=False)

    def skip_numbers(self, count: int) -> None:
        for _ in range(count):
            self.number()

    def skip_training_state(self, rates: int = 0) -> None:
        """At the end of a layer: learning rates and weight decays, three flags and three empty tensors."""
        self.skip_numbers(rates)
        if bytes(self._read(3)).strip(b"01"):
            self._refuse("an unexpected flag")
        for _ in range(3):
            self.tensor(0, 0, 0, 0)

    def expect_layer(self, name: str, *settings: int) -> None:
        """A layer without weights."""
        self.expect_name(name)
        self.expect(*settings)
        self.skip_training_state()

    def expect_end(self) -> None:
        if self._position != len(self._data):
            self._refuse("the file goes on")


def read_resnet(data: bytes) -> ResnetWeights:
    """The weights in the bytes of dlib's file. Raises ConfigurationError for anything but that network."""
    reader = _DatReader(data)
    reader.expect(1)
    reader.expect_name("loss_metric_2")
    reader.skip_numbers(2)  # margin and threshold of the training loss
    reader.expect(2, 2)  # projection, global average
    for block in reversed(BLOCKS):
        reader.expect(*(_DOWN_BLOCK_VERSIONS if block.down else _PLAIN_BLOCK_VERSIONS))
    reader.expect(2, 2, 2, 3)  # pool, relu, affine and, innermost, the convolution of the stem
    reader.expect_name("input_rgb_image_sized")
    mean = reader.number(), reader.number(), reader.number()
    reader.expect(architecture.CHIP_SIDE_PX, architecture.CHIP_SIDE_PX)

    stem = _convolution(reader, architecture.STEM_SHAPE, down=True, innermost=True)
    reader.expect_layer("relu_")
    reader.expect_layer("max_pool_2", 3, 3, 2, 2, 0, 0)
    blocks = []
    for block in BLOCKS:
        first = _convolution(reader, block.shapes[0], block.down)
        reader.expect_layer("relu_")
        blocks.append((first, _convolution(reader, block.shapes[1], down=False)))
        if block.down:
            reader.expect_layer("avg_pool_2", 2, 2, 2, 2, 0, 0)
        reader.expect_layer("add_prev_")
        reader.expect_layer("relu_")
    reader.expect_layer("avg_pool_2", 0, 0, 1, 1, 0, 0)  # rows and columns of 0: over the whole image

    shape = BLOCKS[-1].channels, architecture.DIMENSION
    reader.expect_name("fc_2")
    reader.expect(*reversed(shape))
    projection = reader.tensor(*shape, 1, 1).reshape(shape)
    reader.expect(1, *shape, 1, 1)
    reader.expect(1, 0, 0, 0, 0)
    reader.expect(1)  # without biases
    reader.skip_training_state(rates=4)
    reader.expect_end()
    # The scale is not in the file: dlib's input_rgb_image_sized divides by 256.
    return ResnetWeights(mean, 256.0, stem, tuple(blocks), projection)


def _convolution(reader: _DatReader, shape: FilterShape, down: bool, innermost: bool = False) -> Convolution:
    """A convolution and the affine layer after it. ``down``: of stride 2 and without padding."""
    channels, _, rows, columns = shape
    reader.expect_name("con_4")
    weights = reader.tensor(math.prod(shape) + channels, 1, 1, 1).ravel()
    reader.expect(channels, rows, columns, *((2, 2, 0, 0) if down else (1, 1, 1, 1)))
    reader.expect(1, *shape)
    reader.expect(1, 1, channels, 1, 1)
    reader.skip_training_state(rates=4)
    if innermost:
        reader.expect(1)  # images of the network per image of the input layer

    reader.expect_name("affine_")
    gamma, beta = reader.tensor(2 * channels, 1, 1, 1).reshape(2, channels)
    reader.expect(1, 1, channels, 1, 1)
    reader.expect(1, 1, channels, 1, 1)
    reader.expect(0)  # one gamma and one beta a channel
    reader.skip_training_state()
    return Convolution(weights[:-channels].reshape(shape), weights[-channels:], gamma, beta)
