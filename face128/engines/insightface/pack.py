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
    def model_name(self) -> str:
        """The file's name and 8 digits of its SHA-256, at most 64 characters.

        Other weights are another model, even in a file of the same name.
        """
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"insightface-{re.sub(r'[^A-Za-z0-9_]', '_', self.path.stem)[:40]}-{digest[:8]}"


def read_pack(folder: Path) -> tuple[PackNetwork, PackNetwork]:
    """The first detector and the first recogniser by file name, as the library picks them.

    Raises ConfigurationError if there is no folder, if one of the two is missing, and for a file that is no ONNX.
    """
    if not folder.is_dir():
        raise ConfigurationError("FACE128_INSIGHTFACE_PACK is not a folder.")
    networks = [_read(path) for path in sorted(folder.glob("*.onnx"))]
    detectors = [each for each in networks if len(each.input_shape) == 4 and each.outputs == DETECTOR_OUTPUTS]
    chip_shape = 3, CHIP_SIDE_PX, CHIP_SIDE_PX
    recognisers = [each for each in networks if each.input_shape[1:] == chip_shape and each.outputs == 1]
    if not detectors:
        raise ConfigurationError(
            f"The InsightFace pack has no detector: an .onnx file of {DETECTOR_OUTPUTS} outputs, such as det_10g.onnx."
        )
    if not recognisers:
        raise ConfigurationError(
            f"The InsightFace pack has no recogniser: an .onnx file with an input of 3x{CHIP_SIDE_PX}x{CHIP_SIDE_PX} "
            "and one output, such as w600k_r50.onnx."
        )
    return detectors[0], recognisers[0]


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
