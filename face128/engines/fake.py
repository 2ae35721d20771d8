"""An engine without weights, for tests of the HTTP behaviour. Never use it for faces.

It takes every photo that is not all one colour for a portrait of one person, and describes it by its colours: the same
photo always has the same descriptor. Two colours side by side are two people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard
from face128.engines.base import Chips, Face
from face128.photos.photo import Photo

CHIP_SIDE_PX = 16  # 16 * 16 * 3 bytes: six for each of the 128 numbers

FAKE = ModelCard(
    name="fake",
    dimension=128,
    metric="euclidean",
    threshold=0.38,
    comparable_with=frozenset(),
    licence="MIT; it knows no faces",
    pipeline="fake/1",
)


class FakeEngine:
    card: ModelCard = FAKE

    def search_bytes(self, pixel_count: int) -> int:
        return 4 * pixel_count

    def detect(self, photo: Photo) -> list[Face]:
        """No face in a photo of one colour, two in a photo of two plain halves, else one."""
        rgb, width, height = photo.rgb(), photo.width, photo.height
        if not np.ptp(rgb, axis=(0, 1)).any():
            return []
        middle = width // 2
        plain_halves = not any(np.ptp(half, axis=(0, 1)).any() for half in (rgb[:, :middle], rgb[:, middle:]))
        boxes = [(0, 0, middle, height), (middle, 0, width, height)] if plain_halves else [(0, 0, width, height)]
        return [Face(box, ((box[0], box[1]), (box[2], box[3])), 0.99 - 0.01 * i) for i, box in enumerate(boxes)]

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        image = Image.fromarray(photo.rgb())
        chips = [np.asarray(image.crop(face.box).resize((CHIP_SIDE_PX, CHIP_SIDE_PX))) for face in faces]
        return np.array(chips, np.uint8).reshape(len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3)

    def describe(self, chips: Chips) -> Descriptors:
        means = chips.reshape(len(chips), self.card.dimension, -1).mean(axis=2, dtype=np.float32)
        return np.asarray(means / 255)
