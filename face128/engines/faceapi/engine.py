"""face-api.js's own pipeline, from the model files that a web application serves: its descriptors, to 1e-5.

A detector, 68 landmarks, an upright square around eyes and mouth, and dlib's ResNet with its weights rounded to uint8.
The specification is the source of @vladmandic/face-api 1.7.15; face-api.js 0.22.2 has the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import FACEAPI, ModelCard, Rendering
from face128.engines.base import Chips, EyeLandmarks, Face, NoseLandmark
from face128.engines.faceapi.alignment import Rectangle, align, clip_detection, find_landmarks
from face128.engines.faceapi.detectors import SSD_SIDE_PX, RunNetwork, detect_ssd, detect_tiny
from face128.engines.faceapi.graphs import INPUT_NAME, face_landmark_68, ssd_mobilenetv1, tiny_face_detector
from face128.engines.faceapi.manifest import read_weights
from face128.engines.faceapi.resnet_weights import read_resnet
from face128.engines.faceapi.scaling import Scaling, Square, scale_to_square
from face128.engines.onnx.sessions import CPU_PROVIDERS, open_session
from face128.engines.resnet.architecture import CHIP_SIDE_PX
from face128.engines.resnet.network import DescriptorNetwork
from face128.photos.photo import Photo

SEARCH_BYTES_A_PIXEL = 256
"""Of the detector's square."""


@dataclass(frozen=True, kw_only=True)
class FaceapiFace(Face):
    """A face with its 68 landmarks, rounded."""

    eye_landmarks: EyeLandmarks | None = ((36, 42), (42, 48))  # 300-W
    nose_landmark: NoseLandmark | None = (33, "subnasale")
    square: Rectangle
    """The part of the photo that is described."""


class FaceapiEngine:
    """Thread-safe: sessions are only read."""

    def __init__(
        self,
        models: Path,
        detector: Literal["ssd", "tiny"] = "ssd",
        scaling: Scaling = "canvas",
        *,
        min_confidence: float = 0.5,
        score_threshold: float = 0.5,
        input_size: int = 416,
        providers: Sequence[str] = CPU_PROVIDERS,
    ) -> None:
        """Load the models from a folder of face-api.js.

        ``min_confidence`` is for ssd; ``score_threshold`` and ``input_size`` (pixels) are for tiny. Raises
        ConfigurationError, naming the file, for one that is missing or damaged.
        """
        pixels = "canvas-srgb" if scaling == "canvas" else "tensor"
        rendering: Rendering = "browser" if scaling == "canvas" else "plain"
        pipeline = f"{detector}-{pixels}/{FACEAPI.pipeline}"
        self.card: ModelCard = replace(FACEAPI, pipeline=pipeline, rendering=rendering)
        self._scaling: Scaling = scaling
        self._side = SSD_SIDE_PX if detector == "ssd" else input_size
        if detector == "ssd":
            run = _runner(ssd_mobilenetv1(read_weights(models, "ssd_mobilenetv1")), providers)
            self._detect = partial(detect_ssd, run, min_confidence=min_confidence, scaling=scaling)
        else:
            run = _runner(tiny_face_detector(read_weights(models, "tiny_face_detector")), providers)
            self._detect = partial(detect_tiny, run, score_threshold=score_threshold, side=input_size, scaling=scaling)
        self._landmarks = _runner(face_landmark_68(read_weights(models, "face_landmark_68")), providers)
        weights = read_resnet(read_weights(models, "face_recognition"))
        self._network = DescriptorNetwork(weights, providers, TensorProto.FLOAT)

    def search_bytes(self, pixel_count: int) -> int:
        return SEARCH_BYTES_A_PIXEL * self._side**2

    def detect(self, photo: Photo) -> list[Face]:
        """See Engine.detect. Detections wholly outside the photo, in the square's black part, are left out."""
        image = photo.canvas()
        faces: list[Face] = []
        for detection in self._detect(image=image):
            box = clip_detection(image, detection, self._scaling)
            if _is_empty(box):
                continue
            points = find_landmarks(self._landmarks, image, box, detection, self._scaling)
            square = align(points, box, image)
            if not _is_empty(square):
                x, y = detection.x, detection.y
                rounded = round(x), round(y), round(x + detection.width), round(y + detection.height)
                landmarks = tuple((x, y) for x, y in points.round().astype(int).tolist())
                faces.append(FaceapiFace(rounded, landmarks, detection.score, square=square))
        return faces

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """The upright square of each face, (n, 150, 150, 3) uint8 or float32; the faces are this engine's own."""
        image = photo.canvas()
        shape = (len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3)
        chips: Chips = np.empty(shape, np.uint8) if self._scaling == "canvas" else np.empty(shape, np.float32)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, FaceapiFace)
            left, top, right, bottom = face.square
            part = image[top:bottom, left:right]
            chip[:] = scale_to_square(part, CHIP_SIDE_PX, centred=True, scaling=self._scaling)
        return chips

    def describe(self, chips: Chips) -> Descriptors:
        return self._network(chips.astype(np.float32))


def _is_empty(rectangle: Rectangle) -> bool:
    left, top, right, bottom = rectangle
    return right <= left or bottom <= top


def _runner(model: bytes, providers: Sequence[str]) -> RunNetwork:
    session = open_session(model, providers)

    def run(square: Square) -> list[npt.NDArray[np.float32]]:
        outputs: list[npt.NDArray[np.float32]] = session.run(None, {INPUT_NAME: square[None].astype(np.float32)})
        return outputs

    return run
