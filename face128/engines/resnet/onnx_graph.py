"""Builds the ONNX graph of the descriptor network, with dlib's or face-api.js's weights.

95 % of the time goes into the 29 convolutions. Keeping ONNX Runtime's blocked layout across the padding of the down
blocks, with a Concat or a 1x1 convolution in place of Pad, gained 1 %: not worth it.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from face128.engines.onnx.graph_builder import GraphBuilder, Shape
from face128.engines.resnet.architecture import (
    BLOCKS,
    CHIP_SIDE_PX,
    DIMENSION,
    Convolution,
    ResidualBlock,
    ResnetWeights,
)

INPUT_NAME = "chips"
OUTPUT_NAME = "descriptors"


def to_onnx(weights: ResnetWeights, pixel_type: int = TensorProto.UINT8) -> bytes:
    """A serialised ModelProto: ``chips``, (n, 150, 150, 3) RGB of 0..255, to ``descriptors``, (n, 128) float32.

    ``pixel_type`` is one of TensorProto's.
    """
    graph = GraphBuilder()
    image, side = _stem(graph, weights), 35  # 150 -> 72 -> 35
    for block, (first, second) in zip(BLOCKS, weights.blocks, strict=True):
        image, side = _block(graph, image, side, block, first, second)
    averages = graph.add("Flatten", graph.add("GlobalAveragePool", image))
    graph.add("MatMul", averages, graph.floats(weights.projection), name=OUTPUT_NAME)
    chips_shape: Shape = ["n", CHIP_SIDE_PX, CHIP_SIDE_PX, 3]
    return graph.serialize("resnet", {INPUT_NAME: chips_shape}, {OUTPUT_NAME: ["n", DIMENSION]}, pixel_type)


def _stem(graph: GraphBuilder, weights: ResnetWeights) -> str:
    # Without padding every output depends on 3x7x7 real pixels, so mean and scale of the input fold in exactly.
    filters, biases = weights.stem.folded()
    filters /= weights.scale
    biases -= np.einsum("oikl,i->o", filters, np.array(weights.mean))
    pixels = graph.add("Cast", graph.add("Transpose", INPUT_NAME, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    image = graph.add("Relu", graph.convolve(pixels, filters, biases, stride=2))
    return graph.add("MaxPool", image, kernel_shape=[3, 3], strides=[2, 2])


def _block(
    graph: GraphBuilder, image: str, side: int, block: ResidualBlock, first: Convolution, second: Convolution
) -> tuple[str, int]:
    """The image after the block, and its width and height."""
    residual = graph.add("Relu", graph.convolve(image, *first.folded(), block.stride, [block.padding] * 4))
    residual = graph.convolve(residual, *second.folded(), pads=[1] * 4)
    shortcut = image
    if block.down:
        # dlib adds images of different sizes as if the smaller were padded with zeros, in channels, rows and columns.
        residual_side, side = (side - 3) // 2 + 1, side // 2
        shortcut = graph.add("AveragePool", image, kernel_shape=[2, 2], strides=[2, 2])
        if block.channels > block.channels_in:
            shortcut = graph.pad(shortcut, channels=block.channels - block.channels_in)
        if side > residual_side:
            residual = graph.pad(residual, side=side - residual_side)
    return graph.add("Relu", graph.add("Add", residual, shortcut)), side
