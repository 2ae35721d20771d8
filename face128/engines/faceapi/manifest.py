"""Reads the model files of face-api.js: NAME_model-weights_manifest.json and the .bin or -shardN files it names.

The manifest lists the tensors in the order of the bytes; the format is that of TensorFlow.js
(tfjs-core/src/io/weights_loader.ts and types.ts). @vladmandic/face-api has one .bin per model, face-api.js the same
bytes in shards of 4 MiB.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from face128.engines.resnet.architecture import Floats
from face128.errors import ConfigurationError

log = logging.getLogger(__name__)

KNOWN_SHA256 = {
    # Of each model's bytes, shards joined: @vladmandic/face-api 1.7.15 and face-api.js 0.22.2.
    "ssd_mobilenetv1": "2835640602d53718aa6ae9a42896327eaa21beefed056c218d32ca7d79e1e2f8",
    "tiny_face_detector": "b7503ce7df31039b1c43316a9b865cab6a70dd748cc602d3fa28b551503c3871",
    "face_landmark_68": "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b",
    "face_recognition": "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
}


class _TensorEntry(NamedTuple):
    """The manifest's entry of one tensor: float32, or uint8 that stands for ``value * scale + minimum``."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    minimum: float
    byte_count: int


def _entry(tensor: dict[str, Any]) -> _TensorEntry:
    shape = tuple(tensor["shape"])
    quantization = tensor.get("quantization") or {"dtype": tensor["dtype"], "scale": 1, "min": 0}
    dtype, item_bytes = {"uint8": ("u1", 1), "float32": ("<f4", 4)}[quantization["dtype"]]
    scale, minimum = float(quantization["scale"]), float(quantization["min"])
    if not (all(isinstance(length, int) and length >= 0 for length in shape) and math.isfinite(scale + minimum)):
        raise ValueError
    return _TensorEntry(str(tensor["name"]), shape, dtype, scale, minimum, math.prod(shape) * item_bytes)


class Weights:
    """The tensors of one model, by name and shape."""

    def __init__(self, manifest: str, entries: list[_TensorEntry], data: bytes) -> None:
        self._manifest = manifest
        starts = accumulate((entry.byte_count for entry in entries), initial=0)
        self._tensors = {entry.name: (entry, start) for entry, start in zip(entries, starts, strict=False)}
        self._data = data

    def tensor(self, name: str, *shape: int) -> Floats:
        """The tensor as float32. Raises ConfigurationError if there is none of that name and shape."""
        entry, start = self._tensors.get(name, (None, 0))
        if entry is None or entry.shape != shape:
            raise ConfigurationError(f"{self._manifest}: there is no tensor {name} of shape {list(shape)}.")
        values = np.frombuffer(self._data, entry.dtype, math.prod(shape), start).reshape(shape)
        # In float64 and then rounded, as JavaScript does.
        tensor: Floats = (values * np.float64(entry.scale) + entry.minimum).astype(np.float32)
        if not np.isfinite(tensor).all():
            raise ConfigurationError(f"{self._manifest}: the tensor {name} has numbers that are not finite.")
        return tensor

    def filters(self, name: str, rows: int, inputs: int, outputs: int) -> Floats:
        """Square filters of a convolution, (outputs, inputs, rows, rows): TensorFlow's axes turned to ONNX's."""
        return self.tensor(name, rows, rows, inputs, outputs).transpose(3, 2, 0, 1)

    def depthwise_filters(self, name: str, channels: int) -> Floats:
        """3x3 filters of a convolution of each channel by itself, (channels, 1, 3, 3)."""
        return self.tensor(name, 3, 3, channels, 1).transpose(2, 3, 0, 1)


def read_weights(folder: Path, model: str) -> Weights:
    """Read one of the models of KNOWN_SHA256. Weights with another checksum are accepted, with a warning in the log.

    Raises ConfigurationError, naming the file, for one that is missing, cut short or not in the format.
    """
    manifest = f"{model}_model-weights_manifest.json"
    text = _read(folder / manifest)
    try:
        groups = json.loads(text)
        shards = [str(path) for group in groups for path in group["paths"]]
        entries = [_entry(tensor) for group in groups for tensor in group["weights"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ConfigurationError(f"{manifest} is not a weights manifest of face-api.js.") from None
    if any(Path(shard).name != shard for shard in shards):
        raise ConfigurationError(f"{manifest} names a file of another folder.")
    data = b"".join(_read(folder / shard) for shard in shards)
    if len(data) != sum(entry.byte_count for entry in entries):
        raise ConfigurationError(f"{' and '.join(shards)}: {len(data)} bytes, not as many as {manifest} says.")
    if hashlib.sha256(data).hexdigest() != KNOWN_SHA256[model]:
        log.warning("The weights that %s names are not those of face-api.js: descriptors may differ.", manifest)
    return Weights(manifest, entries, data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ConfigurationError(f"{path.name} is missing from face-api.js's models, or cannot be read.") from None
