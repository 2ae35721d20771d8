"""The interface of an engine: it finds faces in a photo, crops them and describes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from face128.domain.adjustments import NOT_ADJUSTED, Adjustments
from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard
from face128.photos.photo import Photo

Chips = npt.NDArray[np.uint8 | np.float32]
"""(n, side, side, 3) RGB: cropped faces, as the engine's network takes them."""
EyeLandmarks = tuple[tuple[int, int], tuple[int, int]]
"""The landmarks of the eye on the photo's left and of the other: the first one and the one after the last."""
NoseLandmark = tuple[int, Literal["subnasale", "pronasale"]]
"""The landmark on the nose, and which point it is: where the nose meets the upper lip, or the nose's tip."""

FINDER_NAMES = {"fast": "hog-fast5", "exact": "hog-exact"}
"""By FACE128_DETECTION, for the pipeline of the engines that find faces as dlib does."""


@dataclass(frozen=True)
class Face:
    """A face that was found, in pixels of the photo at full size, upright by its metadata and as it was sent."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom); it may reach over the edge of the photo."""
    landmarks: tuple[tuple[int, int], ...]
    """(x, y) of each point. Their number and order depend on the engine."""
    confidence: float
    """0..1, rising with the detector's score."""
    eye_landmarks: EyeLandmarks | None = None
    nose_landmark: NoseLandmark | None = None
    adjusted: Adjustments = NOT_ADJUSTED
    """What was done to the photo before this face was described."""

    @property
    def eyes(self) -> npt.NDArray[np.float64] | None:
        """(2, 2): x and y of the middle of each eye, that on the photo's left first. None without eye_landmarks."""
        if self.eye_landmarks is None:
            return None
        return np.array([np.mean(self.landmarks[slice(*eye)], 0) for eye in self.eye_landmarks])

    @property
    def roll_degrees(self) -> float | None:
        """The head's rotation, clockwise in the photo, -180..180; 0 is upright. None without eye_landmarks.

        What is left of it in a photo that was turned. A tilted head distorts face-api.js's descriptors, but not dlib's.
        """
        if (eyes := self.eyes) is None:
            return None
        (left_x, left_y), (right_x, right_y) = eyes.tolist()
        degrees = math.degrees(math.atan2(right_y - left_y, right_x - left_x)) + self.adjusted.turned
        return degrees - 360 if degrees > 180 else degrees

    def __reduce__(self) -> tuple[type[Face], tuple[object, ...]]:
        # Pickled as a plain Face: a subclass's fields are for its engine only, and unpickling the subclass would import
        # the engine.
        fields = self.box, self.landmarks, self.confidence, self.eye_landmarks, self.nose_landmark, self.adjusted
        return Face, fields


class Engine(Protocol):
    """Finds and describes faces. Thread-safe and blocking: the service calls it in its thread pool."""

    card: ModelCard

    def search_bytes(self, pixel_count: int) -> int:
        """The memory that ``detect`` takes at most for a photo of so many pixels, besides the photo's own."""

    def detect(self, photo: Photo) -> list[Face]:
        """Every face in the photo, the most confident first."""

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """One chip per face, in the order of ``faces``. ``describe`` does not need the photo any more."""

    def describe(self, chips: Chips) -> Descriptors:
        """One descriptor per chip; (n, card.dimension) float32."""
