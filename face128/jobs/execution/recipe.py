"""How each photo of a job is described. A Recipe is pickled and sent to the workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128.domain.model_card import ModelCard
from face128.encoding import encode
from face128.encoding.passes import Passes, card_with_passes, with_passes
from face128.encoding.quality import MinQuality, assess, refuse_poor_quality
from face128.engines.base import Chips, Engine, Face
from face128.engines.cards import find_engine_card
from face128.engines.loader import companions, load_engine
from face128.errors import BadRequest, Face128Error, NoFace
from face128.helper_thread import no_helper
from face128.photos.photo import Limits, Photo
from face128.settings import Settings, load_settings

Descriptor = npt.NDArray[np.float32]
Choice = Literal["one", "largest", "best", "central"]
"""Which of several faces counts: none (``one`` refuses the photo), the largest, the one with the highest confidence, or
the one nearest to the middle."""

MAX_WAITING_PIXELS = 2**20  # of a photo that stays decoded while the others of its batch are searched for faces


@dataclass(frozen=True)
class DescribedFace:
    descriptors: tuple[Descriptor, ...]
    """One for each engine of the recipe, in its order."""
    photo_facts: dict[str, Any]
    """As Encoding.photo_facts."""

    @property
    def descriptor(self) -> Descriptor:
        return self.descriptors[0]


@dataclass(frozen=True)
class CroppedFace:
    chips: tuple[Chips, ...]
    """For each engine of the recipe."""
    photo_facts: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """All that a descriptor depends on, apart from the photo."""

    engines: tuple[str, ...]
    """Several look at each photo in one go: the first finds the face that all describe."""
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
        engines: str | None = None,
        choice: Choice = "one",
        num_jitters: int = 1,
        max_roll: float | None = None,
        passes: Passes | None = None,
        min_quality: MinQuality = "none",
    ) -> Recipe:
        """``engines``: one, or several with commas; by default the first of the settings. ``passes``: theirs too.

        Raises BadRequest for engines that do not look at the same faces.
        """
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        names = _parse_engines(engines or settings.engines[0])
        passes = passes or settings.passes
        chosen = choice, num_jitters, limits, max_roll, passes, min_quality
        return cls(names, settings.network, settings.detection, *chosen)

    @property
    def versions(self) -> tuple[str, ...]:
        """For each engine: two recipes of one version give the same descriptors, to the bit, and refuse the same
        photos.

        Photos beyond ``limits`` are the exception: a journal tries them again.
        """
        max_roll = "" if self.max_roll is None else f" roll {self.max_roll:g}"
        min_quality = "" if self.min_quality == "none" else f" quality {self.min_quality}"
        way = f"{self.choice} x{self.num_jitters}{max_roll}{min_quality}"
        return tuple(f"{card.name} {card.pipeline} {way}" for card in self.cards)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """For each engine, which is loaded only where its card cannot be known otherwise."""
        settings = load_settings(network=self.network, detection=self.detection)
        known = [find_engine_card(name, settings) or self._load(name).card for name in self.engines]
        return tuple(card_with_passes(card, self.passes) for card in known)

    def of(self, places: Sequence[int]) -> Recipe:
        """The same with only some of the engines."""
        return replace(self, engines=tuple(self.engines[place] for place in places))

    def load(self) -> tuple[Engine, ...]:
        """The engines, each loaded once per process. Raises ConfigurationError if one cannot be loaded."""
        return tuple(with_passes(self._load(name), self.passes) for name in self.engines)

    def _load(self, name: str) -> Engine:
        return _load(name, self.network, self.detection)

    def describe(self, photos: Sequence[bytes | Face128Error]) -> list[DescribedFace | Face128Error]:
        """Each photo's face, or the photo's error. Errors in ``photos`` are returned.

        The network gets the chips of all photos at once: eight together take up to a fifth less time than one by one
        (benchmarks/network.py), and give the same descriptors to the bit.
        """
        if not photos:
            return []
        engines = self.load()
        with no_helper():  # other processes describe further photos
            found = [self._find_face(engines, photo) if isinstance(photo, bytes) else photo for photo in photos]
        # All landmarks one after the other, so that their model stays in the processor's cache: see DlibFace.
        cropped = [self._crop(engines, *each) if isinstance(each, tuple) else each for each in found]
        good = [each.chips for each in cropped if isinstance(each, CroppedFace)]
        by_engine = zip(engines, zip(*good, strict=True), strict=True) if good else ()
        described = zip(*(_describe(engine, chips) for engine, chips in by_engine), strict=True)
        return [
            DescribedFace(next(described), each.photo_facts) if isinstance(each, CroppedFace) else each
            for each in cropped
        ]

    def _find_face(self, engines: tuple[Engine, ...], data: bytes) -> tuple[Photo, Face] | CroppedFace | Face128Error:
        """The photo and its face, or, of a large photo, its chips; or the error that ``encoding.encode`` raises."""
        try:
            photo, faces = encode.find_faces(engines[0], data, self.limits)
            if self.choice == "central":
                face = _most_central(faces, photo)
            else:
                face = encode.choose_face(faces, photo, self.choice)
        except MemoryError:  # not the photo's error: the backend tries it alone
            raise
        except Face128Error as error:
            return error
        return (photo, face) if photo.width * photo.height <= MAX_WAITING_PIXELS else self._crop(engines, photo, face)

    def _crop(self, engines: tuple[Engine, ...], photo: Photo, face: Face) -> CroppedFace | Face128Error:
        try:
            if self.max_roll is not None:
                encode.refuse_tilted_head(face, self.max_roll)
            quality = assess(photo, face)
            refuse_poor_quality(quality, self.min_quality)
            chips = tuple(encode.crop_face(engine, photo, face, self.num_jitters) for engine in engines)
            return CroppedFace(chips, encode.photo_facts(face, quality))
        except MemoryError:
            raise
        except Face128Error as error:
            return error


@cache
def _load(engine: str, network: str, detection: str) -> Engine:
    return load_engine(engine, load_settings(network=network, detection=detection))


def _describe(engine: Engine, chips: Sequence[Chips]) -> list[Descriptor]:
    """The descriptor of each face from its chips."""
    rows = iter(encode.describe_chips(engine, np.concatenate(chips)))
    return [encode.mean_descriptor(engine, np.array(list(islice(rows, len(own))))) for own in chips]


def _parse_engines(names: str) -> tuple[str, ...]:
    first, *others = (name.strip() for name in names.split(","))
    for place, name in enumerate(others):
        if name not in companions(first) or name in others[:place]:
            together = " or ".join([first, *(",".join((first, each)) for each in companions(first))])
            raise BadRequest(f"--engine {names}: {first} and {name} cannot describe a photo together. Take {together}.")
    return (first, *others)


def _most_central(faces: Sequence[Face], photo: Photo) -> Face:
    def distance_to_middle(face: Face) -> float:
        left, top, right, bottom = face.box
        return math.hypot(left + right - photo.width, top + bottom - photo.height)

    if not faces:
        raise NoFace()
    return min(faces, key=distance_to_middle)
