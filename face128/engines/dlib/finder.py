"""Finds faces as dlib does: the HOG detector and five landmarks. Networks that describe them can share one finder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

import dlib

from face128.engines import early_face
from face128.engines.base import FINDER_NAMES, Face, NoseLandmark
from face128.engines.dlib.detection import Box
from face128.engines.dlib.detector import HogDetector
from face128.engines.dlib.scaled_copy import chip_shrink
from face128.engines.dlib.second_look import SecondLook, Sighting, view_bytes
from face128.engines.dlib.views import View
from face128.engines.dlib.weight_files import LANDMARKS_FILE, read_verified
from face128.photos.photo import Photo

Landmarks = tuple[tuple[int, int], ...]
Detection = Literal["fast", "exact"]

UNDER_NOSE = 4  # of shape_predictor_5_face_landmarks


class DlibFace(Face):
    """A face that computes its landmarks when they are first read.

    Detection evicts the landmark model from the processor's cache. A caller that detects faces in many photos before
    it reads landmarks loads the model once for all.
    """

    eye_landmarks = ((2, 4), (0, 2))  # of shape_predictor_5_face_landmarks
    nose_landmark: NoseLandmark | None = (UNDER_NOSE, "subnasale")
    view: View
    """The photo as this face is described."""
    view_box: Box
    shrink: int
    """At which shrink of the view's photo the landmarks are found, and the face is cropped."""
    _find_landmarks: Callable[[Photo, Box, int], Landmarks]

    def __init__(self, sighting: Sighting, shrink: int, find_landmarks: Callable[[Photo, Box, int], Landmarks]) -> None:
        view, detection = sighting
        # Past the dataclass, which is frozen.
        self.__dict__.update(
            box=view.box_to_sent(detection.box),
            confidence=detection.confidence,
            adjusted=view.adjusted,
            view=view,
            view_box=detection.box,
            shrink=shrink,
            _find_landmarks=find_landmarks,
        )

    @cached_property
    def view_landmarks(self) -> Landmarks:
        return self._find_landmarks(self.view.photo, self.view_box, self.shrink)

    @cached_property
    def landmarks(self) -> Landmarks:
        return tuple(self.view.to_sent(x, y) for x, y in self.view_landmarks)


class DlibFinder:
    """Thread-safe: the landmark model is only read, and every thread has its own detector."""

    def __init__(self, weights: Path, detection: Detection = "fast") -> None:
        self.name = FINDER_NAMES[detection]
        """For the pipeline of an engine's card."""
        self._detector = HogDetector(detection)
        self._exact = detection == "exact"
        self._second_look = SecondLook(self._detector)
        read_verified(weights / LANDMARKS_FILE)
        self._landmarks = dlib.shape_predictor(str(weights / LANDMARKS_FILE))

    def search_bytes(self, pixel_count: int) -> int:
        search_bytes = self._detector.search_bytes(pixel_count)
        return search_bytes if self._exact else search_bytes + view_bytes(pixel_count)

    def detect(self, photo: Photo) -> list[Face]:
        if self._exact:
            sightings = [Sighting(View(photo), detection) for detection in self._detector.find(photo)]
            return [self._face(sighting) for sighting in sightings]
        listener = early_face.listener.get()
        told: dict[int, Face] = {}

        def tell(sighting: Sighting) -> None:
            face = told[id(sighting)] = self._face(sighting)
            if listener is not None:
                listener(face)

        sightings = self._second_look.find(photo, tell)
        return [told.get(id(sighting)) or self._face(sighting) for sighting in sightings]

    def _face(self, sighting: Sighting) -> Face:
        return DlibFace(sighting, self._shrink(sighting), self._find_landmarks)

    def _shrink(self, sighting: Sighting) -> int:
        return 1 if self._exact else chip_shrink(sighting.view.photo, sighting.detection.width)

    def _find_landmarks(self, photo: Photo, box: Box, shrink: int) -> Landmarks:
        shape = self._landmarks(photo.rgb(shrink), shrunk_rectangle(box, shrink))
        return tuple((point.x * shrink, point.y * shrink) for point in shape.parts())


def shrunk_rectangle(box: Box, shrink: int) -> dlib.rectangle:
    return dlib.rectangle(*(round(side / shrink) for side in box))
