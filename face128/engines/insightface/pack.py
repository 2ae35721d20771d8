"""Finds the two networks that face128 runs in an InsightFace model pack: a folder of ONNX files, told apart by graph.

A pack (buffalo_l, buffalo_s, antelopev2 ...) also has networks for age, sex and more landmarks: they are passed over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from face128.errors import ConfigurationError

CHIP_SIDE = 112  # what ArcFace networks are trained on
DETECTOR_OUTPUTS = 9  # scores, boxes and landmarks at each of SCRFD's three strides


@dataclass(frozen=True)
class Graph:
    """What a file says of the network in it."""

    path: Path
    shape: tuple[int | None, ...]
    """Of the one input; None where any size goes. Empty where there are several inputs, or none."""
    outputs: int
    kinds: tuple[str, ...]
    """The operator of each node, in order."""

    @property
    def is_detector(self) -> bool:
        return len(self.shape) == 4 and self.outputs == DETECTOR_OUTPUTS

    @property
    def is_recogniser(self) -> bool:
        return self.shape[1:] == (3, CHIP_SIDE, CHIP_SIDE) and self.outputs == 1


@dataclass(frozen=True)
class Pack:
    detector: Graph
    recogniser: Graph

    @property
    def model(self) -> str:
        """The name of the descriptors: the recogniser's file, and 8 digits of its SHA-256.

        Another file is another model, even under the same name. At most 64 characters.
        """
        path = self.recogniser.path
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"insightface-{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)[:40]}-{digest[:8]}"


def read_pack(folder: Path) -> Pack:
    """The first detector and the first recogniser by file name, as the library picks them.

    Raises ConfigurationError where there is no folder, where one of the two is missing, and for a file that is no ONNX.
    """
    if not folder.is_dir():
        raise ConfigurationError("FACE128_INSIGHTFACE_PACK is not a folder.")
    graphs = [_read(path) for path in sorted(folder.glob("*.onnx"))]
    detector = _first(graphs, lambda graph: graph.is_detector)
    recogniser = _first(graphs, lambda graph: graph.is_recogniser)
    if detector is None:
        raise ConfigurationError(
            f"The InsightFace pack has no detector: an .onnx file of {DETECTOR_OUTPUTS} outputs, such as det_10g.onnx."
        )
    if recogniser is None:
        raise ConfigurationError(
            f"The InsightFace pack has no recogniser: an .onnx file with an input of 3x{CHIP_SIDE}x{CHIP_SIDE} and one "
            "output, such as w600k_r50.onnx."
        )
    return Pack(detector, recogniser)


def _first(graphs: list[Graph], wanted: Callable[[Graph], bool]) -> Graph | None:
    return next(filter(wanted, graphs), None)


def _read(path: Path) -> Graph:
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, DecodeError):
        raise ConfigurationError(f"{path.name} of the InsightFace pack is damaged, or cannot be read.") from None
    constants = {constant.name for constant in graph.initializer}  # older files list them among the inputs
    inputs = [value for value in graph.input if value.name not in constants]
    shape = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    kinds = tuple(node.op_type for node in graph.node)
    return Graph(path, tuple(size if size > 0 else None for size in shape), len(graph.output), kinds)
