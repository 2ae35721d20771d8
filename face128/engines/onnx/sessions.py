"""Opens networks in ONNX Runtime, on the providers of the settings or on what is there of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper

CPU = ("CPUExecutionProvider",)

log = logging.getLogger("face128")


def open_session(model: bytes | Path, providers: Sequence[str] = CPU) -> onnxruntime.InferenceSession:
    """A session, from a graph's bytes or from its file, whose every run stays on its caller's thread.

    A provider that is missing is left out, with a warning. Raises what ONNX Runtime raises for a graph that is wrong.
    """
    return _open(model, providers_in_use(tuple(providers)))


@cache
def providers_in_use(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The providers among these that work here, and the CPU as the last. Warns of each that does not, once."""
    there = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        # Being built in is not enough: CUDA's libraries may be missing. ONNX Runtime then says so, and leaves CUDA out.
        used = tuple(_open(_nothing(), there).get_providers())
    except Exception as error:  # its errors have no base class but this
        log.warning("ONNX Runtime: %s", error)
        used = CPU
    for name in wanted:
        if name not in used:
            log.warning("ONNX Runtime has no working %s here: %s instead.", name, " and ".join(used))
    return used


def _open(model: bytes | Path, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # Photos run in parallel, not the parts of one network: two threads then do nearly twice the work of one.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Errors only: InsightFace's graphs promise output sizes that hold for one input size, and each run would warn.
    options.log_severity_level = 3
    # A plan of all activations takes 30 MB more for face-api.js's larger detector, and gains no time.
    options.enable_mem_pattern = False
    source = str(model) if isinstance(model, Path) else model
    # Its own fallback prints to stdout, where the command line's answers go.
    session = onnxruntime.InferenceSession(source, options, providers=list(providers), enable_fallback=0)
    # It keeps them in case that it has to start again with other providers: 20 MB.
    session._model_bytes = None
    return session


def _nothing() -> bytes:
    """The smallest network: one number in, the same out."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Identity", ["in"], ["out"])], "nothing", ends[:1], ends[1:])
    model: onnx.ModelProto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(model.SerializeToString())
