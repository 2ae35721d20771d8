"""Writes the descriptor network as an ONNX graph, whoever's weights it has.

95 % of the time goes into the 29 convolutions. Keeping ONNX Runtime's blocked layout across the padding of the down
blocks, with a Concat or a 1x1 convolution in place of Pad, gained 1 %: not worth it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from face128.engines.weights.resnet import BLOCKS, DIMENSION, SIDE, Block, Convolution, Resnet

INPUT = "chips"
OUTPUT = "descriptors"
# What ONNX Runtime 1.20, the oldest that face128 takes, reads; onnx itself would stamp its newest.
_OPSET = 17
_IR_VERSION = 8


class _Graph:
    """Nodes and constants as they are added; each node's output is named after the node."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def convolve(
        self,
        image: str,
        filters: npt.NDArray[np.float64],
        biases: npt.NDArray[np.float64],
        stride: int,
        padding: int,
    ) -> str:
        weights = self.constant(filters.astype(np.float32)), self.constant(biases.astype(np.float32))
        return self.add("Conv", image, *weights, strides=[stride] * 2, pads=[padding] * 4)

    def pad(self, image: str, channels: int = 0, side: int = 0) -> str:
        """Zeros at the end of each axis."""
        return self.add("Pad", image, self.constant(np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)))


def to_onnx(network: Resnet) -> bytes:
    """A serialised ModelProto: ``chips``, (n, 150, 150, 3) uint8 RGB, to ``descriptors``, (n, 128) float32."""
    graph = _Graph()
    image, side = _stem(graph, network), 35  # 150 -> 72 -> 35
    for block, (first, second) in zip(BLOCKS, network.blocks, strict=True):
        image, side = _block(graph, image, side, block, first, second)
    averages = graph.add("Flatten", graph.add("GlobalAveragePool", image))
    graph.add("MatMul", averages, graph.constant(network.projection), name=OUTPUT)

    chips = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    descriptors = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", DIMENSION])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "resnet", [chips], [descriptors], graph.constants),
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    return bytes(model.SerializeToString())


def _stem(graph: _Graph, network: Resnet) -> str:
    # Without padding every output sees 3x7x7 real pixels, so the mean and the scale of the input fold in exactly.
    filters, biases = network.stem.folded()
    filters /= network.scale
    biases -= np.einsum("oikl,i->o", filters, np.array(network.mean))
    pixels = graph.add("Cast", graph.add("Transpose", INPUT, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    image = graph.add("Relu", graph.convolve(pixels, filters, biases, stride=2, padding=0))
    return graph.add("MaxPool", image, kernel_shape=[3, 3], strides=[2, 2])


def _block(
    graph: _Graph, image: str, side: int, block: Block, first: Convolution, second: Convolution
) -> tuple[str, int]:
    """The image after the block, and its width and height."""
    through = graph.add("Relu", graph.convolve(image, *first.folded(), block.stride, block.padding))
    through = graph.convolve(through, *second.folded(), stride=1, padding=1)
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
