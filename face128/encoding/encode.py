"""From a photo to the descriptor of its one face, for the service, the command line and the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128 import events
from face128.domain.descriptors import Descriptors
from face128.encoding.jitter import jittered_copies
from face128.engines.base import Chips, Engine, Face
from face128.errors import BadImage, HeadTilted, MultipleFaces, NoFace
from face128.events import one_photo, stage
from face128.photos.photo import Limits, Photo, decode_base64, open_photo

FaceChoice = Literal["one", "largest"]
"""For a photo of several faces: "one" refuses it, "largest" takes the face with the largest box."""


@dataclass(frozen=True)
class Encoding:
    descriptor: npt.NDArray[np.float32]
    """(dimension,)"""
    model: str
    face: Face
    face_count: int
    photo: Photo

    def answer(self) -> dict[str, Any]:
        """The JSON of /encode-image and ``face128 encode``. The numbers are the float32 values, exactly."""
        return {
            "descriptor": self.descriptor.tolist(),
            "model": self.model,
            **face_fields(self.face, self.photo),
            "face_count": self.face_count,
            "roll": _rounded_roll(self.face),
        }


def encode(
    engine: Engine,
    data: bytes,
    limits: Limits,
    face_choice: FaceChoice = "one",
    num_jitters: int = 1,
    max_roll: float | None = None,
) -> Encoding:
    """Decode a photo, find its face and describe it. Blocking.

    With ``num_jitters`` above 1 the descriptor is the mean of so many jittered copies of the face (jitter.py).
    Raises what open_photo raises for the file, NoFace, MultipleFaces with every face's box, and HeadTilted for a head
    that is tilted by more than ``max_roll`` degrees.
    """
    with one_photo():
        photo, faces = find_faces(engine, data, limits)
        face = choose_face(faces, photo, face_choice)
        if max_roll is not None:
            refuse_tilted_head(face, max_roll)
        descriptor = mean_descriptor(describe_chips(engine, crop_face(engine, photo, face, num_jitters)))
    return Encoding(descriptor, engine.card.name, face, len(faces), photo)


def find_faces(engine: Engine, data: bytes, limits: Limits) -> tuple[Photo, list[Face]]:
    """Decode a photo and find its faces; the descriptor network does not run. Blocking."""
    with one_photo():
        photo = open_photo(data, limits)
        photo.claim_memory(engine.search_bytes(photo.width * photo.height))
        with stage("detect"):
            faces = engine.detect(photo)
    events.faces_found(len(faces))
    return photo, faces


def choose_face(faces: Sequence[Face], photo: Photo, face_choice: FaceChoice) -> Face:
    """Raises NoFace, and MultipleFaces if there are several and ``face_choice`` is "one"."""
    if not faces:
        raise NoFace()
    if len(faces) > 1 and face_choice == "one":
        raise MultipleFaces(
            f"Multiple faces detected: {len(faces)}. Send a photo of one person, or ask for faces=largest.",
            face_count=len(faces),
            faces=[face_fields(face, photo) for face in faces],
        )

    def area(face: Face) -> int:
        left, top, right, bottom = face.box
        return (right - left) * (bottom - top)

    return max(faces, key=area)


def crop_face(engine: Engine, photo: Photo, face: Face, num_jitters: int = 1) -> Chips:
    """(num_jitters, side, side, 3): the chip of a face or, with ``num_jitters`` above 1, its jittered copies."""
    with stage("crop"):
        chips = engine.crop(photo, [face])
    return jittered_copies(chips[0], num_jitters) if num_jitters > 1 else chips


def describe_chips(engine: Engine, chips: Chips) -> Descriptors:
    """One descriptor per chip. Blocking."""
    with stage("describe"):
        return engine.describe(chips)


def mean_descriptor(descriptors: Descriptors) -> npt.NDArray[np.float32]:
    """The descriptor of a face from those of its chips: (dimension,)."""
    return np.asarray(descriptors.mean(axis=0, dtype=np.float32))


def crop_base64_photo(
    engine: Engine, image: object, limits: Limits, face_choice: FaceChoice
) -> tuple[Chips, dict[str, Any]]:
    """The chip of the one face of a photo in base64, and its ``face_fields``. Blocking. Raises what encode raises."""
    if not isinstance(image, str):
        raise BadImage("An image is a string in base64.")
    with one_photo():
        photo, faces = find_faces(engine, decode_base64(image, limits.max_bytes), limits)
        face = choose_face(faces, photo, face_choice)
        return crop_face(engine, photo, face), face_fields(face, photo)


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
    """``bbox`` as [x1, y1, x2, y2] in pixels of the upright photo, clipped to it, and ``confidence``."""
    left, top, right, bottom = face.box
    return {
        "bbox": [max(left, 0), max(top, 0), min(right, photo.width), min(bottom, photo.height)],
        "confidence": round(face.confidence, 4),
    }
