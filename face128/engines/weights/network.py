"""Runs the descriptor network in ONNX Runtime: dlib's descriptors to an L2 of 1e-5, 14 times as fast as dlib itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face128.engines import Chips, Descriptors
from face128.engines.sessions import CPU, open_session
from face128.engines.weights import RESNET_SHA256, read_weights
from face128.engines.weights.dlib_dat import read_resnet
from face128.engines.weights.onnx_graph import INPUT, OUTPUT, to_onnx
from face128.engines.weights.resnet import DIMENSION

BATCH = 8
"""Most chips that go in at once: more gain no speed, and memory stays bounded by it."""


class Network:
    """Chips in, descriptors out. Thread-safe; releases the GIL; each call runs on its caller's thread alone."""

    def __init__(self, model: bytes, providers: Sequence[str] = CPU) -> None:
        self._session = open_session(model, providers)

    def __call__(self, chips: Chips) -> Descriptors:
        """Describe n >= 0 chips, (n, 150, 150, 3) RGB of the graph's type: (n, 128) float32."""
        descriptors = np.empty((len(chips), DIMENSION), np.float32)
        for start in range(0, len(chips), BATCH):
            batch = slice(start, start + BATCH)
            (descriptors[batch],) = self._session.run([OUTPUT], {INPUT: chips[batch]})
        return descriptors


def load_network(path: Path, providers: Sequence[str] = CPU) -> Network:
    """The network in dlib's own weight file, in about 0.2 s; nothing is written.

    Raises ConfigurationError where the file is missing, damaged or another one.
    """
    return Network(to_onnx(read_resnet(read_weights(path, RESNET_SHA256))), providers)
