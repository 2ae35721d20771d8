"""How each photo of a job is described. A Recipe is pickled and sent to the workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128.encoding import encode
from face128.encoding.passes import Passes, with_passes
from face128.encoding.quality import MinQuality, assess, refuse_poor_quality
from face128.engines.base import Chips, Engine, Face
from face128.engines.loader import load_engine
from face128.errors import Face128Error, NoFace
from face128.photos.photo import Limits, Photo
from face128.settings import Settings, load_settings

Descriptor = npt.NDArray[np.float32]
Choice = Literal["one", "largest", "best", "central"]
"""Which of several faces counts: none (``one`` refuses the photo), the largest, the one with the highest confidence, or
the one nearest to the middle."""

MAX_WAITING_PIXELS = 2**20  # of a photo that stays decoded while the others of its batch are searched for faces


@dataclass(frozen=True)
class DescribedFace:
    descriptor: Descriptor
    photo_facts: dict[str, Any]
    """As Encoding.photo_facts."""


@dataclass(frozen=True)
class CroppedFace:
    chips: Chips
    photo_facts: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """All that a descriptor depends on, apart from the photo."""

    engine: str
    network: Literal["onnx", "dlib"]
    detection: Literal["fast", "exact"]
    choice: Choice
    num_jitters: int
    limits: Limits
    max_roll: float | None = None
    """Degrees; a head that is tilted more is refused."""
    passes: Passes = "one"
    min_quality: MinQuality = "none"
    """A photo of a worse verdict is refused."""

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        engine: str | None = None,
        choice: Choice = "one",
        num_jitters: int = 1,
        max_roll: float | None = None,
        passes: Passes | None = None,
        min_quality: MinQuality = "none",
    ) -> Recipe:
        """``engine`` and ``passes``: those of the settings by default."""
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        name = engine or settings.engines[0]
        passes = passes or settings.passes
        chosen = choice, num_jitters, limits, max_roll, passes, min_quality
        return cls(name, settings.network, settings.detection, *chosen)

    @property
    def version(self) -> str:
        """Two recipes of one version give the same descriptors, to the bit, and refuse the same photos.

        Photos beyond ``limits`` are the exception: a journal tries them again.
        """
        card = self.load().card
        max_roll = "" if self.max_roll is None else f" roll {self.max_roll:g}"
        min_quality = "" if self.min_quality == "none" else f" quality {self.min_quality}"
        return f"{card.name} {card.pipeline} {self.choice} x{self.num_jitters}{max_roll}{min_quality}"

    def load(self) -> Engine:
        """The engine, loaded once per process. Raises ConfigurationError if it cannot be loaded."""
        return with_passes(_load(self.engine, self.network, self.detection), self.passes)

    def describe(self, photos: Sequence[bytes | Face128Error]) -> list[DescribedFace | Face128Error]:
        """Each photo's face, or the photo's error. Errors in ``photos`` are returned.

        The network gets the chips of all photos at once: eight together take up to a fifth less time than one by one
        (benchmarks/network.py), and give the same descriptors to the bit.
        """
        engine = self.load()
        found = [self._find_face(engine, photo) if isinstance(photo, bytes) else photo for photo in photos]
        # All landmarks one after the other, so that their model stays in the processor's cache: see DlibFace.
        cropped = [self._crop(engine, *each) if isinstance(each, tuple) else each for each in found]
        good = [each.chips for each in cropped if isinstance(each, CroppedFace)]
        rows = iter(encode.describe_chips(engine, np.concatenate(good)) if good else ())

        def described(face: CroppedFace) -> DescribedFace:
            own = np.array(list(islice(rows, len(face.chips))))
            return DescribedFace(encode.mean_descriptor(engine, own), face.photo_facts)

        return [described(each) if isinstance(each, CroppedFace) else each for each in cropped]

    def _find_face(self, engine: Engine, data: bytes) -> tuple[Photo, Face] | CroppedFace | Face128Error:
        """The photo and its face, or, of a large photo, its chips; or the error that ``encoding.encode`` raises."""
        try:
            photo, faces = encode.find_faces(engine, data, self.limits)
            if self.choice == "central":
                face = _most_central(faces, photo)
            else:
                face = encode.choose_face(faces, photo, self.choice)
        except MemoryError:  # not the photo's error: the backend tries it alone
            raise
        except Face128Error as error:
            return error
        return (photo, face) if photo.width * photo.height <= MAX_WAITING_PIXELS else self._crop(engine, photo, face)

    def _crop(self, engine: Engine, photo: Photo, face: Face) -> CroppedFace | Face128Error:
        try:
            if self.max_roll is not None:
                encode.refuse_tilted_head(face, self.max_roll)
            quality = assess(photo, face)
            refuse_poor_quality(quality, self.min_quality)
            chips = encode.crop_face(engine, photo, face, self.num_jitters)
            return CroppedFace(chips, encode.photo_facts(face, quality))
        except MemoryError:
            raise
        except Face128Error as error:
            return error


@cache
def _load(engine: str, network: str, detection: str) -> Engine:
    return load_engine(engine, load_settings(network=network, detection=detection))


def _most_central(faces: Sequence[Face], photo: Photo) -> Face:
    def distance_to_middle(face: Face) -> float:
        left, top, right, bottom = face.box
        return math.hypot(left + right - photo.width, top + bottom - photo.height)

    if not faces:
        raise NoFace()
    return min(faces, key=distance_to_middle)
