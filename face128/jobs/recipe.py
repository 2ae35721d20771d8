"""What is done to each photo of a job. It travels to the worker that does it, on this machine or on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from face128.encoding import encode
from face128.engines import Engine, Face, load_engine
from face128.errors import NoFace
from face128.images import Limits, Photo, open_photo
from face128.settings import Settings, load_settings

Choice = Literal["one", "largest", "central"]
"""Which of several faces: none ("one" refuses), the largest, or the one nearest to the photo's middle."""


@dataclass(frozen=True)
class Recipe:
    """All that a descriptor depends on, besides the photo."""

    engine: str
    network: Literal["onnx", "dlib"]
    detection: Literal["fast", "exact"]
    choice: Choice
    num_jitters: int
    limits: Limits
    max_roll: float | None = None
    """Degrees; a head that is tilted further is refused."""

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        engine: str | None = None,
        choice: Choice = "one",
        num_jitters: int = 1,
        max_roll: float | None = None,
    ) -> Recipe:
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        name = engine or settings.engines[0]
        return cls(name, settings.network, settings.detection, choice, num_jitters, limits, max_roll)

    @property
    def version(self) -> str:
        """What a descriptor made by this recipe may be compared with bit by bit: model, pipeline, face, passes.

        And which photos have none: another bound of the roll is another version.
        """
        card = self.load().card
        bound = "" if self.max_roll is None else f" roll {self.max_roll:g}"
        return f"{card.name} {card.pipeline} {self.choice} x{self.num_jitters}{bound}"

    def load(self) -> Engine:
        """The engine, loaded once a process. Raises ConfigurationError where it cannot be had."""
        return _load(self.engine, self.network, self.detection)

    def describe(self, data: bytes) -> npt.NDArray[np.float32]:
        """The descriptor of the photo's face, (dimension,). Raises what ``encoding.encode`` raises."""
        engine = self.load()
        if self.choice != "central":
            return encode(engine, data, self.limits, self.choice, self.num_jitters, self.max_roll).descriptor
        photo = open_photo(data, self.limits)
        face = _central(engine.detect(photo), photo)
        return engine.describe(engine.crop(photo, [face])).reshape(-1)


@cache
def _load(engine: str, network: str, detection: str) -> Engine:
    return load_engine(engine, load_settings(network=network, detection=detection))


def _central(faces: Sequence[Face], photo: Photo) -> Face:
    def from_middle(face: Face) -> float:
        left, top, right, bottom = face.box
        return math.hypot(left + right - photo.width, top + bottom - photo.height)

    if not faces:
        raise NoFace()
    return min(faces, key=from_middle)
