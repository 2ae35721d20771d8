"""dlib's descriptor network, from its own weight file, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.weight_files import RESNET_SHA256, read_weights
from face128.engines.onnx.sessions import CPU
from face128.engines.resnet.network import Network
from face128.engines.resnet.onnx_graph import to_onnx


def load_network(path: Path, providers: Sequence[str] = CPU) -> Network:
    """The network in dlib's own weight file, in about 0.2 s; nothing is written.

    Raises ConfigurationError where the file is missing, damaged or another one.
    """
    return Network(to_onnx(read_resnet(read_weights(path, RESNET_SHA256))), providers)
