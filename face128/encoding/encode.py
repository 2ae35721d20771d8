"""From a photo to the descriptor of its one face, for the service, the command line and the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128 import events
from face128.domain.descriptors import Descriptors
from face128.encoding.ahead import Ahead
from face128.encoding.jitter import jittered_copies
from face128.encoding.quality import MinQuality, Quality, assess, refuse_poor_quality
from face128.encoding.thumbnail import thumbnail
from face128.engines.base import Chips, Engine, Face
from face128.errors import BadImage, HeadTilted, MultipleFaces, NoFace
from face128.events import Stage, one_photo, stage
from face128.helper_thread import helper
from face128.photos.photo import Limits, Photo, decode_base64, open_photo

Descriptor = npt.NDArray[np.float32]
"""(dimension,)"""
FaceChoice = Literal["one", "largest", "best"]
"""For a photo of several faces: "one" refuses it, "largest" takes the face with the largest box, "best" the one with
the highest confidence, as detectSingleFace of face-api.js does."""


@dataclass(frozen=True)
class Encoding:
    descriptor: Descriptor
    model: str
    face: Face
    face_count: int
    photo: Photo
    quality: Quality | None = None
    """None unless it was asked for."""
    companions: dict[str, Descriptor] = field(default_factory=dict)
    """The descriptors of the same face by the companions that were asked for, by their models' names."""
    thumbnail: bytes | None = None
    """A small JPEG of the face, if it was asked for."""

    def photo_facts(self) -> dict[str, Any]:
        """What an answer says about the photo, and the gallery keeps: a JSON object for each fact that is known."""
        return photo_facts(self.face, self.quality)

    def answer(self) -> dict[str, Any]:
        """The JSON of /encode-image and ``face128 encode``. The numbers are the float32 values, exactly."""
        return {
            "descriptor": self.descriptor.tolist(),
            "model": self.model,
            **face_fields(self.face, self.photo),
            "face_count": self.face_count,
            "roll": _rounded_roll(self.face),
            **({"companions": self.companion_lists()} if self.companions else {}),
            **self.photo_facts(),
        }

    def companion_lists(self) -> dict[str, list[float]]:
        return {model: descriptor.tolist() for model, descriptor in self.companions.items()}


def encode(
    engine: Engine,
    data: bytes | Photo,
    limits: Limits,
    face_choice: FaceChoice = "one",
    num_jitters: int = 1,
    max_roll: float | None = None,
    with_quality: bool = False,
    min_quality: MinQuality = "none",
    companions: Sequence[Engine] = (),
    with_thumbnail: bool = False,
) -> Encoding:
    """Decode a photo, find its face and describe it. Blocking.

    With ``num_jitters`` above 1 the descriptor is the mean of so many jittered copies of the face (jitter.py).
    ``companions`` describe the same face: engines that can crop the faces which ``engine`` finds.
    Raises what open_photo raises for the file, NoFace, MultipleFaces with every face's box, HeadTilted for a head that
    is tilted by more than ``max_roll`` degrees, and, ``with_quality``, PoorQuality for one worse than ``min_quality``.
    """
    with one_photo(), helper() as second:
        photo = _opened(engine, data, limits)
        ahead = Ahead(second, lambda face: describe_face(engine, companions, photo, face, num_jitters))
        with ahead.listening() if num_jitters == 1 else nullcontext():
            _, faces = find_faces(engine, photo, limits)
        face = choose_face(faces, photo, face_choice)
        if max_roll is not None:
            refuse_tilted_head(face, max_roll)
        quality = assess(photo, face) if with_quality else None
        if quality:
            refuse_poor_quality(quality, min_quality)
        descriptor, others = ahead.result(face)
        picture = thumbnail(photo, face) if with_thumbnail else None
    return Encoding(descriptor, engine.card.name, face, len(faces), photo, quality, others, picture)


def describe_face(
    engine: Engine, companions: Sequence[Engine], photo: Photo, face: Face, num_jitters: int
) -> tuple[Descriptor, dict[str, Descriptor]]:
    """The face's descriptor, and those of the companions by their models' names.

    The networks run at the same time: where a core is idle, two take hardly longer than one (benchmarks/companions.py).
    """

    def describe_alone() -> Descriptor:
        return mean_descriptor(engine, describe_chips(engine, crop_face(engine, photo, face, num_jitters)))

    if not companions:
        return describe_alone(), {}
    with ThreadPoolExecutor(len(companions)) as threads:
        running = [
            threads.submit(each.describe, crop_face(each, photo, face, num_jitters, "companions"))
            for each in companions
        ]
        descriptor = describe_alone()
        with stage("companions"):
            described = [future.result() for future in running]
    means = map(mean_descriptor, companions, described)
    return descriptor, {each.card.name: mean for each, mean in zip(companions, means, strict=True)}


def find_faces(engine: Engine, data: bytes | Photo, limits: Limits) -> tuple[Photo, list[Face]]:
    """Decode a photo and find its faces; the descriptor network does not run. Blocking.

    ``data`` is a file's bytes, or a photo that is open.
    """
    with one_photo(), helper():
        photo = _opened(engine, data, limits)
        photo.claim_memory(engine.search_bytes(photo.width * photo.height))
        with stage("detect"):
            faces = engine.detect(photo)
    events.faces_found(len(faces))
    return photo, faces


def _opened(engine: Engine, data: bytes | Photo, limits: Limits) -> Photo:
    return data if isinstance(data, Photo) else open_photo(data, limits, engine.card.rendering)


def assess_faces(engine: Engine, data: bytes, limits: Limits) -> tuple[Photo, list[Face], list[Quality]]:
    """As ``find_faces``, with the quality of the photo for each face. Blocking."""
    with one_photo():
        photo, faces = find_faces(engine, data, limits)
        return photo, faces, [assess(photo, face) for face in faces]


def choose_face(faces: Sequence[Face], photo: Photo, face_choice: FaceChoice) -> Face:
    """Raises NoFace, and MultipleFaces if there are several and ``face_choice`` is "one"."""
    if not faces:
        raise NoFace()
    if len(faces) > 1 and face_choice == "one":
        raise MultipleFaces(
            f"Multiple faces detected: {len(faces)}. Send a photo of one person, or ask for faces=largest or best.",
            face_count=len(faces),
            faces=[face_fields(face, photo) for face in faces],
        )

    return max(faces, key=face_area if face_choice == "largest" else lambda face: face.confidence)


def face_area(face: Face) -> int:
    """Of its box, in square pixels."""
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)


def crop_face(engine: Engine, photo: Photo, face: Face, num_jitters: int = 1, as_stage: Stage = "crop") -> Chips:
    """(num_jitters, side, side, 3): the chip of a face or, with ``num_jitters`` above 1, its jittered copies."""
    with stage(as_stage):
        chips = engine.crop(photo, [face])
    return jittered_copies(chips[0], num_jitters) if num_jitters > 1 else chips


def describe_chips(engine: Engine, chips: Chips, as_stage: Stage = "describe") -> Descriptors:
    """One descriptor per chip. Blocking."""
    with stage(as_stage):
        return engine.describe(chips)


def mean_descriptor(engine: Engine, descriptors: Descriptors) -> Descriptor:
    """The descriptor of a face from those of its chips. Of length 1 where the metric is the cosine."""
    mean = np.asarray(descriptors.mean(axis=0, dtype=np.float32))
    return mean / np.linalg.norm(mean) if len(descriptors) > 1 and engine.card.metric == "cosine" else mean


def crop_base64_photo(
    engine: Engine, image: object, limits: Limits, face_choice: FaceChoice, companions: Sequence[Engine] = ()
) -> tuple[list[Chips], dict[str, Any]]:
    """The chips of the one face of a photo in base64, for the engine and each companion; and its ``face_fields``.

    Blocking. Raises what encode raises.
    """
    if not isinstance(image, str):
        raise BadImage("An image is a string in base64.")
    with one_photo():
        photo, faces = find_faces(engine, decode_base64(image, limits.max_bytes), limits)
        face = choose_face(faces, photo, face_choice)
        chips = [
            crop_face(engine, photo, face),
            *(crop_face(each, photo, face, 1, "companions") for each in companions),
        ]
        return chips, face_fields(face, photo)


def refuse_tilted_head(face: Face, max_roll: float) -> None:
    """Raise HeadTilted if the head is tilted by more than ``max_roll`` degrees, to either side."""
    degrees = _rounded_roll(face)
    if degrees is not None and abs(degrees) > max_roll:
        raise HeadTilted(
            f"The head is tilted by {abs(degrees):g} degrees; at most {max_roll:g} can be enrolled.",
            roll=degrees,
            max_roll=max_roll,
        )


def _rounded_roll(face: Face) -> float | None:
    return None if face.roll_degrees is None else round(face.roll_degrees, 1)


def face_fields(face: Face, photo: Photo) -> dict[str, Any]:
    """``bbox``: [x1, y1, x2, y2] in pixels of the photo as it was sent, clipped to it; ``confidence``; ``adjusted``."""
    left, top, right, bottom = face.box
    return {
        "bbox": [max(left, 0), max(top, 0), min(right, photo.width), min(bottom, photo.height)],
        "confidence": round(face.confidence, 4),
        **photo_facts(face),
    }


def photo_facts(face: Face, quality: Quality | None = None) -> dict[str, Any]:
    """What is known about a face's photo: ``adjusted`` where anything was done to it, and ``quality`` if given."""
    adjusted = face.adjusted.to_json()
    return ({"adjusted": adjusted} if adjusted else {}) | ({"quality": quality.to_json()} if quality else {})
