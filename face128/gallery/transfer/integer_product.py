"""The product of two small matrices of 7-bit integers, by ONNX Runtime where there is much to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

ZERO = 64  # of the left side, which is unsigned for the processor's instructions
MIN_ONNX_PAIRS = 10**8  # 0.2 s of numpy's product of floats; loading ONNX Runtime takes as long

Codes = npt.NDArray[np.int8]
Products = npt.NDArray[np.int32]
IntegerProduct = Callable[[Codes, Codes, Products], None]
"""Takes (rows, n) and (n, columns) from -63 to 63, and writes their exact product, (rows, columns). Thread-safe."""


def integer_product(pairs: int) -> IntegerProduct:
    """``pairs``: about how many rows and columns will be multiplied, in all."""
    return _by_onnx() if pairs >= MIN_ONNX_PAIRS else _by_numpy


def _by_numpy(left: Codes, right: Codes, out: Products) -> None:
    out[:] = left.astype(np.float32) @ right.astype(np.float32)  # exact: integers below 2^24


def _by_onnx() -> IntegerProduct:
    from onnx import TensorProto, helper

    from face128.onnx_runtime import InferenceSession, SessionOptions

    def value(name: str, kind: int, *shape: str) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    zero = helper.make_tensor("zero", TensorProto.UINT8, [], [ZERO])
    node = helper.make_node("MatMulInteger", ["left", "right", "zero"], ["out"])
    inputs = [value("left", TensorProto.UINT8, "m", "k"), value("right", TensorProto.INT8, "k", "n")]
    outputs = [value("out", TensorProto.INT32, "m", "n")]
    graph = helper.make_graph([node], "product", inputs, outputs, [zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the caller has a thread for each processor
    session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def product(left: Codes, right: Codes, out: Products) -> None:
        binding = session.io_binding()
        binding.bind_cpu_input("left", (left + np.int8(ZERO)).view(np.uint8))
        binding.bind_cpu_input("right", right)
        binding.bind_output("out", "cpu", 0, np.int32, out.shape, out.ctypes.data)
        session.run_with_iobinding(binding)

    return product
