"""Builds an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper

# What ONNX Runtime 1.20, the oldest supported, can read; onnx itself would write its newest.
_OPSET = 17
_IR_VERSION = 8

Shape = Sequence[int | str]
"""Sizes; a name stands for any size."""


class GraphBuilder:
    """Collects nodes and constants; each node's output has the node's name."""

    def __init__(self, input_name: str, input_shape: Shape, input_type: int = TensorProto.FLOAT) -> None:
        # Filled in place: onnx.helper would copy all weights twice.
        self._model = ModelProto(ir_version=_IR_VERSION, opset_import=[helper.make_opsetid("", _OPSET)])
        self._graph = self._model.graph
        self._graph.name = "face128"
        self._graph.input.append(helper.make_tensor_value_info(input_name, input_type, input_shape))

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{operator}_{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        array, name = np.asarray(values, dtype), f"constant_{len(self._graph.initializer)}"
        data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        self._graph.initializer.add(name=name, data_type=data_type, dims=array.shape, raw_data=array.tobytes())
        return name

    def convolve(self, image: str, *weights: npt.ArrayLike, stride: int = 1, same: bool = True, group: int = 1) -> str:
        """``weights``: filters (output channels, input channels / group, rows, columns), and biases if there are any.

        ``same``: with zeros around the image as TensorFlow adds them; else without.
        """
        constants = map(self.constant, weights)
        auto_pad = "SAME_UPPER" if same else "VALID"
        return self.add("Conv", image, *constants, strides=[stride] * 2, auto_pad=auto_pad, group=group)

    def pad(self, image: str, channels: int = 0, side: int = 0) -> str:
        """Zeros at the end of each axis."""
        return self.add("Pad", image, self.constant([0, 0, 0, 0, 0, channels, side, side], np.int64))

    def serialize(self, outputs: Mapping[str, Shape]) -> bytes:
        """A serialised ModelProto, with float32 outputs."""
        for name, shape in outputs.items():
            self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return bytes(self._model.SerializeToString())
