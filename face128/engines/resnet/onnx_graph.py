"""Writes the descriptor network as an ONNX graph, whoever's weights it has.

95 % of the time goes into the 29 convolutions. Keeping ONNX Runtime's blocked layout across the padding of the down
blocks, with a Concat or a 1x1 convolution in place of Pad, gained 1 %: not worth it.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from face128.engines.onnx.graph_builder import Graph
from face128.engines.resnet.architecture import BLOCKS, DIMENSION, SIDE, Block, Convolution, Resnet

INPUT = "chips"
OUTPUT = "descriptors"


def to_onnx(network: Resnet, pixels: int = TensorProto.UINT8) -> bytes:
    """A serialised ModelProto: ``chips``, (n, 150, 150, 3) RGB of 0..255, to ``descriptors``, (n, 128) float32.

    ``pixels`` is the type of the chips: one of TensorProto's.
    """
    graph = Graph()
    image, side = _stem(graph, network), 35  # 150 -> 72 -> 35
    for block, (first, second) in zip(BLOCKS, network.blocks, strict=True):
        image, side = _block(graph, image, side, block, first, second)
    averages = graph.add("Flatten", graph.add("GlobalAveragePool", image))
    graph.add("MatMul", averages, graph.floats(network.projection), name=OUTPUT)

    chips = helper.make_tensor_value_info(INPUT, pixels, ["n", SIDE, SIDE, 3])
    descriptors = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", DIMENSION])
    return graph.model("resnet", [chips], [descriptors])


def _stem(graph: Graph, network: Resnet) -> str:
    # Without padding every output sees 3x7x7 real pixels, so the mean and the scale of the input fold in exactly.
    filters, biases = network.stem.folded()
    filters /= network.scale
    biases -= np.einsum("oikl,i->o", filters, np.array(network.mean))
    pixels = graph.add("Cast", graph.add("Transpose", INPUT, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    image = graph.add("Relu", graph.convolve(pixels, filters, biases, stride=2))
    return graph.add("MaxPool", image, kernel_shape=[3, 3], strides=[2, 2])


def _block(
    graph: Graph, image: str, side: int, block: Block, first: Convolution, second: Convolution
) -> tuple[str, int]:
    """The image after the block, and its width and height."""
    through = graph.add("Relu", graph.convolve(image, *first.folded(), block.stride, [block.padding] * 4))
    through = graph.convolve(through, *second.folded(), pads=[1] * 4)
    around = image
    if block.down:
        # dlib adds images of different sizes as if the smaller went on with zeros, in channels, rows and columns.
        through_side, side = (side - 3) // 2 + 1, side // 2
        around = graph.add("AveragePool", image, kernel_shape=[2, 2], strides=[2, 2])
        if block.channels > block.channels_in:
            around = graph.pad(around, channels=block.channels - block.channels_in)
        if side > through_side:
            through = graph.pad(through, side=side - through_side)
    return graph.add("Relu", graph.add("Add", through, around)), side
