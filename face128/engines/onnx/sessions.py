"""Opens networks in ONNX Runtime, on those execution providers of the settings that work here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from face128.engines.onnx.graph_builder import GraphBuilder
from face128.onnx_runtime import InferenceSession as InferenceSession
from face128.onnx_runtime import SessionOptions, get_available_providers

CPU_PROVIDERS = ("CPUExecutionProvider",)

log = logging.getLogger("face128")


def open_session(model: bytes | Path, providers: Sequence[str] = CPU_PROVIDERS) -> InferenceSession:
    """A session for a graph's bytes or its file; every run stays on its caller's thread.

    A provider that does not work is left out, with a warning. Raises what ONNX Runtime raises for an invalid graph.
    """
    return _open(model, providers_in_use(tuple(providers)))


@cache
def providers_in_use(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The ``wanted`` providers that work here, and the CPU last. Warns once of each that does not work."""
    available = [name for name in wanted if name in get_available_providers()]
    graph = GraphBuilder("in", [1])
    graph.add("Identity", "in", name="out")
    try:
        # Being built in is not enough: CUDA's libraries may be missing. ONNX Runtime then reports it and omits CUDA.
        used = tuple(_open(graph.serialize({"out": [1]}), available).get_providers())
    except Exception as error:  # ONNX Runtime's errors have no common base class but this
        log.warning("ONNX Runtime: %s", error)
        used = CPU_PROVIDERS
    for name in wanted:
        if name not in used:
            log.warning("ONNX Runtime has no working %s here: %s instead.", name, " and ".join(used))
    return used


def _open(model: bytes | Path, providers: Sequence[str]) -> InferenceSession:
    options = SessionOptions()
    # Photos run in parallel, not the parts of one network: two threads then do nearly twice the work of one.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Errors only: InsightFace's graphs declare output sizes that hold for one input size, and each run would warn.
    options.log_severity_level = 3
    # Planning all activations costs 30 MB more for face-api.js's larger detector, and saves no time.
    options.enable_mem_pattern = False
    source = str(model) if isinstance(model, Path) else model
    # ONNX Runtime's own fallback prints to stdout, where the command line writes its results.
    session = InferenceSession(source, options, providers=list(providers), enable_fallback=0)
    # The session keeps a copy for a restart with other providers: 20 MB.
    session._model_bytes = None
    return session
