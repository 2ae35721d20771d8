"""Intel's face-reidentification-retail-0095 (Open Model Zoo): 256 numbers, from the faces that dlib's finder finds.

A face is aligned by three points: the middle of each eye, and the point under the nose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard
from face128.engines.base import Chips, Face
from face128.engines.dlib.finder import UNDER_NOSE, DlibFace, DlibFinder
from face128.engines.onnx.sessions import CPU_PROVIDERS, open_session
from face128.engines.retail.graph import CHIP_SIDE_PX, DIMENSION, INPUT_NAME
from face128.engines.retail.network import read_model
from face128.engines.similarity import chip_to_photo, cut_out
from face128.errors import ConfigurationError
from face128.photos.photo import RGB, Photo

BATCH_CHIPS = 4
"""Maximum of chips in one run: it bounds memory, and more take longer for each."""

# Where the middle of the photo's left eye, of the other, and the point under the nose belong on a chip, x + yi. These
# stand for the five points that Open Model Zoo publishes: dlib's landmarks are not the same points.
TEMPLATE = np.array([41.9 + 59.3j, 84.9 + 59.0j, 63.6 + 91.9j])
MAX_STEP_PX = 2.0
"""From one pixel of the chip to the next, in the photo: a larger photo is averaged first, for it would alias."""


class RetailEngine:
    """Thread-safe: the session is only read. ``finder`` may be another engine's."""

    def __init__(
        self, xml_file: Path, bin_file: Path, finder: DlibFinder, providers: Sequence[str] = CPU_PROVIDERS
    ) -> None:
        """Raises ConfigurationError, naming the file, for files that cannot be used."""
        card, graph = read_model(xml_file, bin_file)
        self.card: ModelCard = replace(card, pipeline=f"{finder.name}/{card.pipeline}")
        self._finder = finder
        try:
            self._session = open_session(graph, providers)
            with np.errstate(all="ignore"):
                trial = self.describe(np.full((2, CHIP_SIDE_PX, CHIP_SIDE_PX, 3), 99, np.uint8))
            usable = bool(np.isfinite(trial).all())
        except Exception:  # ONNX Runtime's errors have no common base class but this
            usable = False
        if not usable:
            raise ConfigurationError(f"{bin_file.name} has weights with which {xml_file.name} gives no descriptors.")

    def search_bytes(self, pixel_count: int) -> int:
        return self._finder.search_bytes(pixel_count)

    def detect(self, photo: Photo) -> list[Face]:
        return self._finder.detect(photo)

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """Cut each face out, aligned to TEMPLATE: (n, 128, 128, 3) uint8.

        The faces are a DlibFinder's, this engine's or another's: each has the photo as it is described.
        """
        chips = np.empty((len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3), np.uint8)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, DlibFace)
            chip[:] = _aligned(face.view.photo.rgb(face.shrink), face)
        return chips

    def describe(self, chips: Chips) -> Descriptors:
        """Describe n >= 0 chips, (n, 128, 128, 3) uint8 RGB: (n, 256) float32, each of length 1."""
        descriptors = np.empty((len(chips), DIMENSION), np.float32)
        for start in range(0, len(chips), BATCH_CHIPS):
            batch = slice(start, start + BATCH_CHIPS)
            (descriptors[batch],) = self._session.run(None, {INPUT_NAME: chips[batch]})
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        return descriptors


def _aligned(pixels: RGB, face: DlibFace) -> RGB:
    """The face's chip from its view's photo at its shrink."""
    points = np.array(face.view_landmarks) @ [1, 1j] / face.shrink
    eyes = [points[slice(*eye)].mean() for eye in face.eye_landmarks]
    a, b = chip_to_photo([*eyes, points[UNDER_NOSE]], TEMPLATE)
    reduction = math.ceil(abs(a) / MAX_STEP_PX)
    return cut_out(pixels, CHIP_SIDE_PX, a, b, reduction)
