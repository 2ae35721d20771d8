"""Reads dlib_face_recognition_resnet_model_v1.dat, dlib's own serialisation of its network.

Everything in the stream is known beforehand but the weights, so everything else is compared, not trusted: a size is
checked before a byte is taken. Format: dlib/serialize.h and dlib/dnn/core.h, layers.h, input.h, loss.h (serialize).
"""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np

from face128.engines.resnet.architecture import BLOCKS, DIMENSION, SIDE, STEM, Block, Convolution, Floats, Resnet
from face128.errors import ConfigurationError

# The version numbers that open dlib's layers, outermost first: 1 opens a tag or a skip, 2 any other layer.
_PLAIN_BLOCK = (2, 2, 2, 2, 2, 2, 2, 1)
_DOWN_BLOCK = (2, 2, 2, 1, 1, 2, 2, 2, 2, 2, 1)
_INNERMOST = 3


class _Stream:
    """The bytes, and how far they are read."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)  # of which a slice is no copy
        self._at = 0

    def _refuse(self, why: str) -> NoReturn:
        raise ConfigurationError(f"This is not dlib's face recognition network: {why} at byte {self._at}.")

    def _take(self, count: int) -> memoryview:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            self._refuse("the file ends too early")
        self._at += count
        return taken

    def integer(self) -> int:
        # The low four bits count the bytes of the magnitude, the highest is the sign.
        control = self._take(1)[0]
        magnitude = int.from_bytes(self._take(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def number(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        # Beyond it are dlib's codes for infinity and NaN (32000 to 32002), and what no float can hold.
        if abs(exponent) > 200:
            self._refuse("a number that is not finite")
        return math.ldexp(mantissa, exponent)

    def expect(self, *values: int) -> None:
        for value in values:
            if self.integer() != value:
                self._refuse("an unexpected value")

    def expect_name(self, name: str) -> None:
        self.expect(len(name))
        if self._take(len(name)) != name.encode():
            self._refuse(f"no {name}")

    def tensor(self, *shape: int) -> Floats:
        self.expect(2, *shape)
        values = np.frombuffer(self._take(4 * math.prod(shape)), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            self._refuse("a weight that is not finite")
        return values.astype(np.float32, copy=False)

    def skip_numbers(self, count: int) -> None:
        for _ in range(count):
            self.number()

    def layer_ends(self) -> None:
        """What only training needs: three flags and three tensors, which are empty."""
        if bytes(self._take(3)).strip(b"01"):
            self._refuse("an unexpected flag")
        for _ in range(3):
            self.tensor(0, 0, 0, 0)

    def ends(self) -> None:
        if self._at != len(self._data):
            self._refuse("the file goes on")


def read_resnet(data: bytes) -> Resnet:
    """The network in the bytes of dlib's file. Raises ConfigurationError for anything but that network."""
    stream = _Stream(data)
    stream.expect(1)
    stream.expect_name("loss_metric_2")
    stream.skip_numbers(2)  # margin and threshold of the training loss
    stream.expect(2, 2)  # projection, global average
    for block in reversed(BLOCKS):
        stream.expect(*(_DOWN_BLOCK if block.down else _PLAIN_BLOCK))
    stream.expect(2, 2, 2, _INNERMOST)  # pool, relu, affine, convolution of the stem
    stream.expect_name("input_rgb_image_sized")
    mean = stream.number(), stream.number(), stream.number()
    stream.expect(SIDE, SIDE)

    stem = _convolution(stream, STEM, stride=2, padding=0, innermost=True)
    _layer(stream, "relu_")
    _layer(stream, "max_pool_2", 3, 3, 2, 2, 0, 0)
    blocks = tuple(_block(stream, block) for block in BLOCKS)
    _layer(stream, "avg_pool_2", 0, 0, 1, 1, 0, 0)  # rows and columns of 0: over the whole image
    projection = _projection(stream, BLOCKS[-1].channels)
    stream.ends()
    # The scale is not in the file: dlib's input_rgb_image_sized divides by 256.
    return Resnet(mean=mean, scale=256.0, stem=stem, blocks=blocks, projection=projection)


def _layer(stream: _Stream, name: str, *settings: int) -> None:
    """A layer without weights."""
    stream.expect_name(name)
    stream.expect(*settings)
    stream.layer_ends()


def _convolution(
    stream: _Stream, shape: tuple[int, int, int, int], stride: int, padding: int, innermost: bool = False
) -> Convolution:
    """A convolution and the affine layer after it."""
    channels, _, rows, columns = shape
    stream.expect_name("con_4")
    weights = stream.tensor(math.prod(shape) + channels, 1, 1, 1).ravel()
    stream.expect(channels, rows, columns, stride, stride, padding, padding)
    stream.expect(1, *shape)
    stream.expect(1, 1, channels, 1, 1)
    stream.skip_numbers(4)  # learning rates and weight decays
    stream.layer_ends()
    if innermost:
        stream.expect(1)  # how many images the input layer made of one

    stream.expect_name("affine_")
    gamma, beta = stream.tensor(2 * channels, 1, 1, 1).reshape(2, channels)
    stream.expect(1, 1, channels, 1, 1)
    stream.expect(1, 1, channels, 1, 1)
    stream.expect(0)  # one pair of numbers a channel
    stream.layer_ends()
    return Convolution(weights[:-channels].reshape(shape), weights[-channels:], gamma, beta)


def _block(stream: _Stream, block: Block) -> tuple[Convolution, Convolution]:
    first_shape, second_shape = block.shapes
    first = _convolution(stream, first_shape, block.stride, block.padding)
    _layer(stream, "relu_")
    second = _convolution(stream, second_shape, stride=1, padding=1)
    if block.down:
        _layer(stream, "avg_pool_2", 2, 2, 2, 2, 0, 0)
    _layer(stream, "add_prev_")
    _layer(stream, "relu_")
    return first, second


def _projection(stream: _Stream, channels: int) -> Floats:
    stream.expect_name("fc_2")
    stream.expect(DIMENSION, channels)
    weights = stream.tensor(channels, DIMENSION, 1, 1).reshape(channels, DIMENSION)
    stream.expect(1, channels, DIMENSION, 1, 1)
    stream.expect(1, 0, 0, 0, 0)
    stream.expect(1)  # without biases
    stream.skip_numbers(4)  # learning rates and weight decays
    stream.layer_ends()
    return weights
