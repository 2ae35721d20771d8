"""Makes an ONNX graph of the layers of face-reidentification-retail-0095, for any number of chips.

Sizes are computed for one chip and compared with what the file says, and the work is bounded, before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from face128.engines.onnx.graph_builder import GraphBuilder
from face128.engines.retail.ir import DTYPES, Floats, IrError, Layer, Shape, read_constant

CHIP_SIDE_PX = 128
DIMENSION = 256
INPUT_NAME, OUTPUT_NAME = "chips", "descriptors"
# For one chip: what the layers give together, constants included, and what convolutions multiply. Ten times the known
# network's, so that a damaged file takes neither all memory nor all day.
MAX_NUMBERS = 200_000_000
MAX_MULTIPLICATIONS = 3_000_000_000
BLUE_GREEN_RED = (2, 1, 0)

Value = Floats | str
"""A constant, or the name of a node."""


def to_onnx(layers: Mapping[str, Layer], weights: bytes) -> bytes:
    """A serialised ModelProto: "chips", (n, 128, 128, 3) uint8 RGB, to "descriptors", (n, 256) float32.

    The descriptors are as the network gives them, not of length 1. Raises IrError.
    """
    kinds = [layer.kind for layer in layers.values()]
    if kinds.count("Parameter") != 1 or kinds.count("Result") != 1:
        raise IrError("it has not one input and one output")
    translator = _Translator(weights)
    for key, layer in layers.items():
        translator.add(key, layer)
    return translator.graph.serialize({OUTPUT_NAME: ["n", DIMENSION]})


class _Translator:
    def __init__(self, weights: bytes) -> None:
        self.graph = GraphBuilder(INPUT_NAME, ["n", CHIP_SIDE_PX, CHIP_SIDE_PX, 3], TensorProto.UINT8)
        self._weights = weights
        self._values: dict[str, Value] = {}
        self._shapes: dict[str, Shape] = {}
        self._numbers = self._multiplications = 0

    def add(self, key: str, layer: Layer) -> None:
        """Translate a layer whose inputs have been translated. Raises IrError."""
        if layer.kind not in _INPUT_COUNTS:
            raise IrError("it has a layer of another kind than this network's")
        if len(layer.inputs) != _INPUT_COUNTS[layer.kind]:
            raise IrError(f"a layer {layer.kind} has the wrong number of inputs")
        self._numbers += math.prod(layer.shape)
        self._check_size()
        self._values[key], shape = self._translate(layer)
        self._check_size()
        if layer.kind != "Result" and shape != layer.shape:
            raise IrError(f"a layer {layer.kind} gives another size than it says")
        self._shapes[key] = shape

    def _translate(self, layer: Layer) -> tuple[Value, Shape]:
        match layer.kind:
            case "Parameter":
                return self._parameter(), (1, 3, CHIP_SIDE_PX, CHIP_SIDE_PX)
            case "Const":
                return read_constant(layer, self._weights), layer.shape
            case "Convert":  # everything is computed in f32
                if layer.attributes.get("destination_type") not in DTYPES:
                    raise IrError("a layer Convert makes other numbers than floats")
                return self._values[layer.inputs[0]], self._shapes[layer.inputs[0]]
            case "Add" | "Multiply":
                return self._combine("Add" if layer.kind == "Add" else "Mul", layer)
            case "Convolution" | "GroupConvolution":
                return self._convolve(layer)
            case "PReLU":
                return self._leaky_relu(layer)
            case "Sigmoid":
                image, shape = self._node(layer)
                return self.graph.add("Sigmoid", image), shape
            case "AvgPool":
                return self._average(layer)
            case _:
                return self._result(layer)

    def _parameter(self) -> str:
        planes = self.graph.add("Transpose", INPUT_NAME, perm=[0, 3, 1, 2])
        planes = self.graph.add("Gather", planes, self.graph.constant(BLUE_GREEN_RED, np.int64), axis=1)
        return self.graph.add("Cast", planes, to=TensorProto.FLOAT)

    def _combine(self, operator: str, layer: Layer) -> tuple[str, Shape]:
        first, second = layer.inputs
        try:
            shape = np.broadcast_shapes(self._shapes[first], self._shapes[second])
        except ValueError:
            raise IrError(f"a layer {layer.kind} combines sizes that do not fit") from None
        values = self._values[first], self._values[second]
        names = [value if isinstance(value, str) else self.graph.constant(value) for value in values]
        return self.graph.add(operator, *names), shape

    def _convolve(self, layer: Layer) -> tuple[str, Shape]:
        image, (_, channels, *size) = self._node(layer)
        filters = self._constant_input(layer)
        if filters.ndim != (5 if layer.kind == "GroupConvolution" else 4):
            raise IrError(f"a layer {layer.kind} has filters of the wrong size")
        groups = filters.shape[0] if filters.ndim == 5 else 1
        filters = filters.reshape(-1, *filters.shape[-3:])
        if channels != groups * filters.shape[1]:
            raise IrError(f"a layer {layer.kind} has filters of the wrong size")
        pads = layer.numbers("pads_begin", 2) + layer.numbers("pads_end", 2)
        dilations = layer.numbers("dilations", 2)
        reach = [dilation * (side - 1) + 1 for dilation, side in zip(dilations, filters.shape[2:], strict=True)]
        shape = 1, len(filters), *self._windows(layer, size, reach, pads)
        self._multiplications += math.prod(shape) * math.prod(filters.shape[1:])
        node = self.graph.add(
            "Conv",
            image,
            self.graph.constant(filters),
            strides=layer.numbers("strides", 2),
            pads=pads,
            dilations=dilations,
            group=groups,
        )
        return node, shape

    def _leaky_relu(self, layer: Layer) -> tuple[str, Shape]:
        image, shape = self._node(layer)
        slope = self._constant_input(layer)
        if slope.size != 1:
            raise IrError("a layer PReLU has several slopes")
        # Not PRelu: ONNX Runtime fuses LeakyRelu with the convolution before it, and takes half the time.
        return self.graph.add("LeakyRelu", image, alpha=float(slope.item())), shape

    def _average(self, layer: Layer) -> tuple[str, Shape]:
        image, (_, channels, *size) = self._node(layer)
        kernel, strides = layer.numbers("kernel", 2), layer.numbers("strides", 2)
        pads = layer.numbers("pads_begin", 2) + layer.numbers("pads_end", 2)
        if any(pads):
            raise IrError("a layer AvgPool has a margin")
        shape = 1, channels, *self._windows(layer, size, kernel, pads)
        self._multiplications += math.prod(shape) * math.prod(kernel)
        return self.graph.add("AveragePool", image, kernel_shape=kernel, strides=strides), shape

    def _result(self, layer: Layer) -> tuple[str, Shape]:
        image, shape = self._node(layer)
        if math.prod(shape) != DIMENSION or shape[0] != 1:
            raise IrError(f"it does not give {DIMENSION} numbers")
        return self.graph.add("Flatten", image, name=OUTPUT_NAME), (1, DIMENSION)

    def _node(self, layer: Layer) -> tuple[str, Shape]:
        """The layer's first input, and its size: (1, channels, rows, columns)."""
        value, shape = self._values[layer.inputs[0]], self._shapes[layer.inputs[0]]
        if not isinstance(value, str) or len(shape) != 4:
            raise IrError(f"a layer {layer.kind} has no picture")
        return value, shape

    def _constant_input(self, layer: Layer) -> Floats:
        value = self._values[layer.inputs[1]]
        if isinstance(value, str):
            raise IrError(f"the weights of a layer {layer.kind} are computed")
        return value

    def _windows(self, layer: Layer, size: list[int], reach: list[int] | Shape, pads: Shape) -> list[int]:
        """How often a window fits into a picture, on both axes. Only what this network has: no automatic margin."""
        strides = layer.numbers("strides", 2)
        if layer.attributes.get("auto_pad", "explicit") != "explicit" or 0 in strides:
            raise IrError(f"a layer {layer.kind} has settings that this network does not have")
        padded = [side + begin + end for side, begin, end in zip(size, pads[:2], pads[2:], strict=True)]
        counts = [(side - window) // stride + 1 for side, window, stride in zip(padded, reach, strides, strict=True)]
        if min(counts) < 1 or any(pad >= window for pad, window in zip(pads, (*reach, *reach), strict=True)):
            raise IrError(f"a layer {layer.kind} does not fit its picture")
        return counts

    def _check_size(self) -> None:
        if self._numbers > MAX_NUMBERS or self._multiplications > MAX_MULTIPLICATIONS:
            raise IrError("it is far larger than this network")


_INPUT_COUNTS = {
    "Parameter": 0,
    "Const": 0,
    "Convert": 1,
    "Add": 2,
    "Multiply": 2,
    "Convolution": 2,
    "GroupConvolution": 2,
    "PReLU": 2,
    "Sigmoid": 1,
    "AvgPool": 1,
    "Result": 1,
}
