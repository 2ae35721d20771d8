"""dlib's reference pipeline: HOG detector, 5 landmarks, a 150-pixel chip, the ResNet. The default engine.

With ``FACE128_NETWORK=dlib`` and ``FACE128_DETECTION=exact`` its descriptors are bit-identical to those of
``face_recognition.face_encodings(image)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import dlib
import numpy as np

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import DLIB, ModelCard
from face128.engines.base import Chips, Face, NoseLandmark
from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.detection import Box
from face128.engines.dlib.detector import HogDetector
from face128.engines.dlib.scaled_copy import chip_shrink
from face128.engines.dlib.second_look import SecondLook, Sighting, view_bytes
from face128.engines.dlib.views import View
from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, read_verified
from face128.photos.photo import Photo

Landmarks = tuple[tuple[int, int], ...]

CPU_PROVIDERS = ("CPUExecutionProvider",)
CHIP_SIDE_PX = 150  # what the network was trained on (dlib's face_recognition_model_v1)
CHIP_PADDING = 0.25  # of the face's size, on every side; face_recognition_model_v1's default


class DlibFace(Face):
    """A face that computes its landmarks when they are first read.

    Detection evicts the landmark model from the processor's cache. A caller that detects faces in many photos before
    it reads landmarks loads the model once for all.
    """

    eye_landmarks = ((2, 4), (0, 2))  # of shape_predictor_5_face_landmarks
    nose_landmark: NoseLandmark | None = (4, "subnasale")
    view: View
    """The photo as this face is described."""
    view_box: Box
    _find_landmarks: Callable[[Photo, Box], Landmarks]

    def __init__(self, sighting: Sighting, find_landmarks: Callable[[Photo, Box], Landmarks]) -> None:
        view, detection = sighting
        # Past the dataclass, which is frozen.
        self.__dict__.update(
            box=view.box_to_sent(detection.box),
            confidence=detection.confidence,
            adjusted=view.adjusted,
            view=view,
            view_box=detection.box,
            _find_landmarks=find_landmarks,
        )

    @cached_property
    def view_landmarks(self) -> Landmarks:
        return self._find_landmarks(self.view.photo, self.view_box)

    @cached_property
    def landmarks(self) -> Landmarks:
        return tuple(self.view.to_sent(x, y) for x, y in self.view_landmarks)


class DlibEngine:
    """Thread-safe: landmark model and network are only read, and every thread has its own detector."""

    def __init__(
        self,
        weights: Path,
        network: Literal["onnx", "dlib"] = "onnx",
        detection: Literal["fast", "exact"] = "fast",
        providers: Sequence[str] = CPU_PROVIDERS,
    ) -> None:
        detector = "hog-fast5" if detection == "fast" else "hog-exact"
        self.card: ModelCard = replace(DLIB, pipeline=f"{detector}/{DLIB.pipeline}")
        self._detector = HogDetector(detection)
        self._exact = detection == "exact"
        self._second_look = SecondLook(self._detector)
        read_verified(weights / LANDMARKS_FILE)
        self._landmarks = dlib.shape_predictor(str(weights / LANDMARKS_FILE))
        resnet = weights / RESNET_FILE
        self._network = load_network(resnet, providers) if network == "onnx" else _dlib_network(resnet)

    def search_bytes(self, pixel_count: int) -> int:
        search_bytes = self._detector.search_bytes(pixel_count)
        return search_bytes if self._exact else search_bytes + view_bytes(pixel_count)

    def detect(self, photo: Photo) -> list[Face]:
        if self._exact:
            sightings = [Sighting(View(photo), detection) for detection in self._detector.find(photo)]
        else:
            sightings = self._second_look.find(photo)
        return [DlibFace(sighting, self._find_landmarks) for sighting in sightings]

    def describe(self, chips: Chips) -> Descriptors:
        return self._network(chips)

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """Cut each face out, turned upright and scaled by its landmarks: (n, 150, 150, 3) uint8.

        The faces are this engine's own: each has the photo as it is described.
        """
        chips = np.empty((len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3), np.uint8)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, DlibFace)
            view_photo, box = face.view.photo, face.view_box
            shrink = self._shrink(view_photo, box)
            points = dlib.points([dlib.point(x // shrink, y // shrink) for x, y in face.view_landmarks])
            shape = dlib.full_object_detection(_rectangle(box, shrink), points)
            chip[:] = dlib.get_face_chip(view_photo.rgb(shrink), shape, size=CHIP_SIDE_PX, padding=CHIP_PADDING)
        return chips

    def _find_landmarks(self, photo: Photo, box: Box) -> Landmarks:
        shrink = self._shrink(photo, box)
        shape = self._landmarks(photo.rgb(shrink), _rectangle(box, shrink))
        return tuple((point.x * shrink, point.y * shrink) for point in shape.parts())

    def _shrink(self, photo: Photo, box: Box) -> int:
        return 1 if self._exact else chip_shrink(photo, box[2] - box[0])


def _rectangle(box: Box, shrink: int) -> dlib.rectangle:
    return dlib.rectangle(*(round(side / shrink) for side in box))


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
