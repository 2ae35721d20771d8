"""What is done to each photo of a job. It travels to the worker that does it, on this machine or on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from face128.encoding.encode import choose, describe, find, mean, passes, refuse_tilted
from face128.engines.base import Chips, Engine, Face
from face128.engines.loader import load_engine
from face128.errors import Face128Error, NoFace
from face128.photos.photo import Limits, Photo
from face128.settings import Settings, load_settings

Descriptor = npt.NDArray[np.float32]
Choice = Literal["one", "largest", "central"]
"""Which of several faces: none ("one" refuses), the largest, or the one nearest to the photo's middle."""

KEPT = 2**20  # pixels of a photo that waits, decoded, while the others of its group are searched


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

    def describe(self, photos: Sequence[bytes | Face128Error]) -> list[Descriptor | Face128Error]:
        """The descriptor of each photo's face, (dimension,), or what is wrong with the photo; an error stays one.

        The network gets the chips of all of them at once: eight together take up to a fifth less time than one by one
        (benchmarks/network.py), and give the same descriptors to the bit.
        """
        engine = self.load()
        found = [self._look(engine, photo) if isinstance(photo, bytes) else photo for photo in photos]
        # Landmarks one after the other find their model in the processor's cache: see DlibFace.
        chips = [self._chips(engine, *each) if isinstance(each, tuple) else each for each in found]
        good = [each for each in chips if not isinstance(each, Face128Error)]
        rows = iter(describe(engine, np.concatenate(good)) if good else ())
        return [
            each if isinstance(each, Face128Error) else mean(np.array(list(islice(rows, len(each))))) for each in chips
        ]

    def _look(self, engine: Engine, data: bytes) -> tuple[Photo, Face] | Chips | Face128Error:
        """The face that is meant, of a large photo its chips, or what ``encoding.encode`` raises."""
        try:
            photo, faces = find(engine, data, self.limits)
            face = _central(faces, photo) if self.choice == "central" else choose(faces, photo, self.choice)
        except Face128Error as error:
            return error
        return (photo, face) if photo.width * photo.height <= KEPT else self._chips(engine, photo, face)

    def _chips(self, engine: Engine, photo: Photo, face: Face) -> Chips | Face128Error:
        try:
            if self.max_roll is not None:
                refuse_tilted(face, self.max_roll)
            return passes(engine, photo, face, self.num_jitters)
        except Face128Error as error:
            return error


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
