"""How many chips of a face are described: the chip alone, or the chip and its mirror image.

The mean of both descriptors varies less from photo to photo than that of the chip alone, for one more chip in the
network's batch. It stays in the model's space: descriptors of one pass and of two are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard
from face128.engines.base import Chips, Engine, Face
from face128.photos.photo import Photo

Passes = Literal["one", "mirror"]


def with_passes(engine: Engine, passes: Passes) -> Engine:
    """The engine as it is for "one", a MirrorEngine of it for "mirror"."""
    return engine if passes == "one" else MirrorEngine(engine)


def card_with_passes(card: ModelCard, passes: Passes) -> ModelCard:
    """The card of the engine that ``with_passes`` makes of the one with this card."""
    return card if passes == "one" else replace(card, pipeline=f"{card.pipeline}/mirror")


class MirrorEngine:
    """An engine that describes each chip and its mirror image, and gives the mean. Its card's pipeline says so."""

    def __init__(self, engine: Engine) -> None:
        self.card: ModelCard = card_with_passes(engine.card, "mirror")
        self._engine = engine

    def search_bytes(self, pixel_count: int) -> int:
        return self._engine.search_bytes(pixel_count)

    def detect(self, photo: Photo) -> list[Face]:
        return self._engine.detect(photo)

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        return self._engine.crop(photo, faces)

    def describe(self, chips: Chips) -> Descriptors:
        """See Engine.describe. Where the model's metric is the cosine, each mean has length 1, as the model's own."""
        upright, mirrored = np.split(self._engine.describe(np.concatenate([chips, chips[:, :, ::-1]])), 2)
        means = (upright.astype(np.float64) + mirrored) / 2
        if self.card.metric == "cosine":
            means /= np.linalg.norm(means, axis=1, keepdims=True)
        return means.astype(np.float32)
