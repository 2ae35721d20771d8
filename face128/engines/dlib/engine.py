"""dlib's reference pipeline: HOG detector, 5 landmarks, a 150-pixel chip, the ResNet. The default engine.

With ``FACE128_NETWORK=dlib`` and ``FACE128_DETECTION=exact`` its descriptors are bit-identical to those of
``face_recognition.face_encodings(image)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import dlib
import numpy as np

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import DLIB, ModelCard
from face128.engines.base import Chips, Face
from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.finder import Detection, DlibFace, DlibFinder, shrunk_rectangle
from face128.engines.dlib.weight_files import RESNET_FILE, read_verified
from face128.photos.photo import Photo

CPU_PROVIDERS = ("CPUExecutionProvider",)
CHIP_SIDE_PX = 150  # what the network was trained on (dlib's face_recognition_model_v1)
CHIP_PADDING = 0.25  # of the face's size, on every side; face_recognition_model_v1's default


class DlibEngine:
    """Thread-safe: the network is only read. ``finder`` may be another engine's."""

    def __init__(
        self,
        weights: Path,
        network: Literal["onnx", "dlib"] = "onnx",
        detection: Detection = "fast",
        providers: Sequence[str] = CPU_PROVIDERS,
        finder: DlibFinder | None = None,
    ) -> None:
        self._finder = finder or DlibFinder(weights, detection)
        self.card: ModelCard = replace(DLIB, pipeline=f"{self._finder.name}/{DLIB.pipeline}")
        resnet = weights / RESNET_FILE
        self._network = load_network(resnet, providers) if network == "onnx" else _dlib_network(resnet)

    def search_bytes(self, pixel_count: int) -> int:
        return self._finder.search_bytes(pixel_count)

    def detect(self, photo: Photo) -> list[Face]:
        return self._finder.detect(photo)

    def describe(self, chips: Chips) -> Descriptors:
        return self._network(chips)

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """Cut each face out, turned upright and scaled by its landmarks: (n, 150, 150, 3) uint8.

        The faces are a DlibFinder's: each has the photo as it is described.
        """
        chips = np.empty((len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3), np.uint8)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, DlibFace)
            shrink = face.shrink
            points = dlib.points([dlib.point(x // shrink, y // shrink) for x, y in face.view_landmarks])
            shape = dlib.full_object_detection(shrunk_rectangle(face.view_box, shrink), points)
            pixels = face.view.photo.rgb(shrink)
            chip[:] = dlib.get_face_chip(pixels, shape, size=CHIP_SIDE_PX, padding=CHIP_PADDING)
        return chips


def load_network(path: Path, providers: Sequence[str] = CPU_PROVIDERS) -> Callable[[Chips], Descriptors]:
    """The network of dlib's file in ONNX Runtime, in about 0.2 s; nothing is written.

    Raises ConfigurationError if the file is missing, damaged or another one.
    """
    from face128.engines.resnet.network import DescriptorNetwork  # FACE128_NETWORK=dlib needs no ONNX Runtime

    return DescriptorNetwork(read_resnet(read_verified(path)), providers)


def _dlib_network(path: Path) -> Callable[[Chips], Descriptors]:
    read_verified(path)
    model = dlib.face_recognition_model_v1(str(path))

    def describe(chips: Chips) -> Descriptors:
        if not len(chips):
            return np.empty((0, DLIB.dimension), np.float32)
        return np.array(model.compute_face_descriptor(list(chips)), np.float32)

    return describe
