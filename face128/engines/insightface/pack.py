"""Finds the detector and the recogniser in an InsightFace model pack: a folder of ONNX files, told apart by graph.

A pack (buffalo_l, buffalo_s, antelopev2 ...) also has networks for age, sex and more landmarks: they are ignored.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from face128.errors import ConfigurationError

CHIP_SIDE_PX = 112  # what ArcFace networks are trained on
DETECTOR_OUTPUTS = 9  # scores, boxes and landmarks at each of SCRFD's three strides


@dataclass(frozen=True)
class PackNetwork:
    path: Path
    input_shape: tuple[int | None, ...]
    """None for any size. Empty if the network has several inputs, or none."""
    outputs: int
    operators: tuple[str, ...]
    """One for each node, in order."""

    @property
    def is_detector(self) -> bool:
        return len(self.input_shape) == 4 and self.outputs == DETECTOR_OUTPUTS

    @property
    def is_recogniser(self) -> bool:
        return self.input_shape[1:] == (3, CHIP_SIDE_PX, CHIP_SIDE_PX) and self.outputs == 1


@dataclass(frozen=True)
class ModelPack:
    detector: PackNetwork
    recogniser: PackNetwork

    @property
    def model_name(self) -> str:
        """The recogniser's file name and 8 digits of its SHA-256, at most 64 characters.

        Other weights are another model, even in a file of the same name.
        """
        path = self.recogniser.path
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"insightface-{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)[:40]}-{digest[:8]}"


def read_pack(folder: Path) -> ModelPack:
    """The first detector and the first recogniser by file name, as the library picks them.

    Raises ConfigurationError if there is no folder, if one of the two is missing, and for a file that is no ONNX.
    """
    if not folder.is_dir():
        raise ConfigurationError("FACE128_INSIGHTFACE_PACK is not a folder.")
    networks = [_read(path) for path in sorted(folder.glob("*.onnx"))]
    detector = next((network for network in networks if network.is_detector), None)
    recogniser = next((network for network in networks if network.is_recogniser), None)
    if detector is None:
        raise ConfigurationError(
            f"The InsightFace pack has no detector: an .onnx file of {DETECTOR_OUTPUTS} outputs, such as det_10g.onnx."
        )
    if recogniser is None:
        raise ConfigurationError(
            f"The InsightFace pack has no recogniser: an .onnx file with an input of 3x{CHIP_SIDE_PX}x{CHIP_SIDE_PX} "
            "and one output, such as w600k_r50.onnx."
        )
    return ModelPack(detector, recogniser)


def _read(path: Path) -> PackNetwork:
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, DecodeError):
        raise ConfigurationError(f"{path.name} of the InsightFace pack is damaged, or cannot be read.") from None
    constants = {constant.name for constant in graph.initializer}  # older files list them among the inputs
    inputs = [value for value in graph.input if value.name not in constants]
    shape = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    operators = tuple(node.op_type for node in graph.node)
    return PackNetwork(path, tuple(size if size > 0 else None for size in shape), len(graph.output), operators)
