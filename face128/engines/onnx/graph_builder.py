"""Builds an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

# What ONNX Runtime 1.20, the oldest supported, can read; onnx itself would write its newest.
_OPSET = 17
_IR_VERSION = 8

Shape = Sequence[int | str]
"""Sizes; a name stands for any size."""


class GraphBuilder:
    """Collects nodes and constants; each node's output has the node's name."""

    def __init__(self) -> None:
        # Filled in place: onnx.helper would copy all weights twice.
        self._model = ModelProto(ir_version=_IR_VERSION, opset_import=[helper.make_opsetid("", _OPSET)])
        self._graph = self._model.graph

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{operator}_{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        name = f"constant_{len(self._graph.initializer)}"
        data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        self._graph.initializer.add(name=name, data_type=data_type, dims=values.shape, raw_data=values.tobytes())
        return name

    def floats(self, values: npt.ArrayLike) -> str:
        return self.constant(np.asarray(values, np.float32))

    def convolve(
        self,
        image: str,
        filters: npt.ArrayLike,
        biases: npt.ArrayLike | None = None,
        stride: int = 1,
        pads: Sequence[int] = (0, 0, 0, 0),
        group: int = 1,
    ) -> str:
        """Filters: (output channels, input channels / group, rows, columns). Pads: top, left, bottom, right."""
        weights = [self.floats(filters)] + ([] if biases is None else [self.floats(biases)])
        return self.add("Conv", image, *weights, strides=[stride] * 2, pads=list(pads), group=group)

    def pad(self, image: str, channels: int = 0, side: int = 0) -> str:
        """Zeros at the end of each axis."""
        return self.add("Pad", image, self.constant(np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)))

    def serialize(
        self,
        name: str,
        inputs: Mapping[str, Shape],
        outputs: Mapping[str, Shape],
        input_type: int = TensorProto.FLOAT,
    ) -> bytes:
        """A serialised ModelProto; ``input_type`` is one of TensorProto's, outputs are float32."""
        self._graph.name = name
        self._graph.input.extend(_value_infos(inputs, input_type))
        self._graph.output.extend(_value_infos(outputs, TensorProto.FLOAT))
        return bytes(self._model.SerializeToString())


def _value_infos(shapes: Mapping[str, Shape], element_type: int) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(name, element_type, shape) for name, shape in shapes.items()]
