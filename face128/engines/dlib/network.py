"""Loads dlib's descriptor network from dlib's weight file into ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.weight_files import RESNET_SHA256, read_verified
from face128.engines.onnx.sessions import CPU_PROVIDERS
from face128.engines.resnet.network import DescriptorNetwork
from face128.engines.resnet.onnx_graph import to_onnx


def load_network(path: Path, providers: Sequence[str] = CPU_PROVIDERS) -> DescriptorNetwork:
    """The network in dlib's own weight file, in about 0.2 s; nothing is written.

    Raises ConfigurationError if the file is missing, damaged or another one.
    """
    return DescriptorNetwork(to_onnx(read_resnet(read_verified(path, RESNET_SHA256))), providers)
