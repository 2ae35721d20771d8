"""A real engine without weights, so that the HTTP behaviour can be tested where no face network is needed.

It takes every photo that is not all one colour for a portrait of one person, and describes it by its colours: the same
photo always has the same descriptor. Two colours side by side are two people. Never use it for faces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from face128.engines import Descriptors, Face, ModelCard
from face128.images import Photo

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

    def detect(self, photo: Photo) -> list[Face]:
        """No face in a photo of one colour, two in a photo of two plain halves, else one."""
        width, height = photo.width, photo.height
        rgb = photo.rgb()
        left, right = rgb[:, : width // 2], rgb[:, width // 2 :]
        if not np.ptp(rgb, axis=(0, 1)).any():
            return []
        halves = [(0, 0, width // 2, height), (width // 2, 0, width, height)]
        plain = all(not np.ptp(half, axis=(0, 1)).any() for half in (left, right))
        boxes = halves if plain else [(0, 0, width, height)]
        return [Face(box, ((box[0], box[1]), (box[2], box[3])), 0.99 - 0.01 * i) for i, box in enumerate(boxes)]

    def describe(self, photo: Photo, faces: Sequence[Face]) -> Descriptors:
        rgb = photo.rgb().astype(np.float32) / 255
        rows = []
        for face in faces:
            left, top, right, bottom = face.box
            strips = np.array_split(rgb[top:bottom, left:right].reshape(-1), self.card.dimension)
            rows.append([strip.mean() if strip.size else 0.0 for strip in strips])
        return np.array(rows, np.float32).reshape(len(faces), self.card.dimension)
