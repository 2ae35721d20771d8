"""Scales a picture to the square input of a network of face-api.js, in the two ways that face-api.js does.

"tensor" is what face-api.js does under Node: TensorFlow's bilinear resize, in float. "canvas" is what a browser does:
drawImage, in the integers of Skia, which draws for Chrome, Edge, Firefox and @napi-rs/canvas unless a graphics card
does. Descriptors of the two ways are about 0.075 apart.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128.photos.canvas.drawing import Canvas, read_canvas

Scaling = Literal["canvas", "tensor"]

Square = npt.NDArray[np.uint8 | np.float32]
"""(side, side, 3) RGB, 0..255: uint8 from a canvas, float32 from a tensor."""

Floats = npt.NDArray[np.float32]

_SKIA_SPAN_PX = 127
"""Skia restarts its rounding after so many pixels of a row (SkBitmapProcState::maxCountForBufferSize)."""


_Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[Any], npt.NDArray[Any]]
"""Along one axis, for each pixel of the square: the two source pixels to interpolate, and their two weights."""


def scale_to_square(picture: Canvas, side: int, centred: bool, scaling: Scaling) -> Square:
    """Scale the picture's longer side to ``side``. The rest is black: at the end or, if ``centred``, on both sides.

    A picture that is a canvas with premultiplied RGBA is scaled as such, and read from the canvas as RGB.
    """
    find_taps = _canvas_taps if scaling == "canvas" else _tensor_taps
    square: npt.NDArray[Any] = picture
    for axis, weight_shape in ((0, (-1, 1, 1)), (1, (1, -1, 1))):
        low, high, low_weight, high_weight = find_taps(axis, picture.shape, side, centred)
        scaled = square.take(low, axis) * low_weight.reshape(weight_shape)
        scaled += square.take(high, axis) * high_weight.reshape(weight_shape)
        square = scaled
    return read_canvas((square >> 8).astype(np.uint8)) if scaling == "canvas" else square


def _tensor_taps(axis: int, shape: tuple[int, ...], side: int, centred: bool) -> _Taps:
    """src/ops/padToSquare.ts, then tf.image.resizeBilinear without aligned corners or half-pixel centres."""
    length, longer = shape[axis], max(shape[:2])
    missing = longer - length
    before = missing - math.floor(missing * 0.5 + 0.5) if centred else 0
    position = np.arange(side, dtype=np.float32) * np.float32(longer / side)
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, longer - 1)
    fraction = position - low.astype(np.float32)

    def inside(index: npt.NDArray[np.intp], weight: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
        # A weight of 0 outside the picture makes it black there.
        index = index - before
        return index.clip(0, length - 1), np.where((index >= 0) & (index < length), weight, np.float32(0))

    (low, low_weight), (high, high_weight) = inside(low, 1 - fraction), inside(high, fraction)
    return low, high, low_weight, high_weight


def _canvas_taps(axis: int, shape: tuple[int, ...], side: int, centred: bool) -> _Taps:
    """src/dom/imageToSquare.ts, then drawImage. Weights are sixteenths.

    Skia (SkBitmapProcState, S32_alpha_D32_filter_DX) steps in fixed-point numbers, made from a float32 matrix, and uses
    four bits of their fraction. Found by comparing with @napi-rs/canvas 1.1.1: the same to the bit.
    """
    length = shape[axis]
    size = side / max(shape[:2]) * length
    offset = (side - size) / 2 if centred else 0.0
    start = np.float32(offset)
    inverse = np.float32(1) / (((start + np.float32(size)) - start) / np.float32(length))

    first, end = math.floor(offset + 0.5), math.floor(offset + size + 0.5)
    pixel = np.arange(side)
    # Within a row Skia steps from the start of a span; for each row it computes the position anew.
    span = pixel if axis == 0 else first + (pixel - first) // _SKIA_SPAN_PX * _SKIA_SPAN_PX
    centre = (span + np.float32(0.5)).astype(np.float32) * inverse - start * inverse
    fixed = (centre.astype(np.float64) * 2**32).astype(np.int64) - 2**31  # 32.32, half a pixel back
    fixed = (fixed + (pixel - span) * int(float(inverse) * 2**32)) >> 16
    whole, sixteenths = fixed >> 16, (fixed >> 12) & 15
    drawn = (pixel >= first) & (pixel < end)
    return (
        whole.clip(0, length - 1),
        (whole + 1).clip(0, length - 1),
        np.where(drawn, 16 - sixteenths, 0).astype(np.uint16),
        np.where(drawn, sixteenths, 0).astype(np.uint16),
    )
