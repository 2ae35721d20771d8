"""A photo in, the descriptor of its one face out: what /encode-image, the command line and re-encoding share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128 import events
from face128.domain.descriptors import Descriptors
from face128.encoding.jitter import jittered
from face128.engines.base import Chips, Engine, Face
from face128.engines.head_roll import roll
from face128.errors import BadImage, HeadTilted, MultipleFaces, NoFace
from face128.events import one_photo, stage
from face128.photos.photo import Limits, Photo, from_base64, open_photo

Which = Literal["one", "largest"]
"""Which face is meant: "one" refuses a photo of several, "largest" takes the one with the largest box."""


@dataclass(frozen=True)
class Encoding:
    descriptor: npt.NDArray[np.float32]
    """(dimension,)"""
    model: str
    face: Face
    face_count: int
    photo: Photo

    def answer(self) -> dict[str, Any]:
        """The JSON that /encode-image and ``face128 encode`` give. The numbers are the float32 values, exactly."""
        return {
            "descriptor": self.descriptor.tolist(),
            "model": self.model,
            **face_fields(self.face, self.photo),
            "face_count": self.face_count,
            "roll": tilt(self.face),
        }


def encode(
    engine: Engine,
    data: bytes,
    limits: Limits,
    which: Which = "one",
    num_jitters: int = 1,
    max_roll: float | None = None,
) -> Encoding:
    """Decode a photo, find its face and describe it. Blocking.

    With ``num_jitters`` above 1 the descriptor is the mean of so many slightly moved copies of the face (jitter.py).
    Raises what open_photo raises for the file, NoFace, MultipleFaces with every face's box, and HeadTilted for a head
    that is tilted by more than ``max_roll`` degrees.
    """
    with one_photo():
        photo, faces = find(engine, data, limits)
        face = choose(faces, photo, which)
        if max_roll is not None:
            refuse_tilted(face, max_roll)
        descriptor = mean(describe(engine, passes(engine, photo, face, num_jitters)))
    return Encoding(descriptor, engine.card.name, face, len(faces), photo)


def passes(engine: Engine, photo: Photo, face: Face, num_jitters: int) -> Chips:
    """The chips of one face whose descriptors make one: (num_jitters, side, side, 3)."""
    chips = crop(engine, photo, face)
    return jittered(chips[0], num_jitters) if num_jitters > 1 else chips


def mean(descriptors: Descriptors) -> npt.NDArray[np.float32]:
    """The descriptor of a face out of those of its passes: (dimension,)."""
    return np.asarray(descriptors.mean(axis=0, dtype=np.float32))


def find(engine: Engine, data: bytes, limits: Limits) -> tuple[Photo, list[Face]]:
    """Decode a photo and find its faces; the descriptor network does not run. Blocking."""
    with one_photo():
        photo = open_photo(data, limits)
        with stage("detect"):
            faces = engine.detect(photo)
    events.faces(len(faces))
    return photo, faces


def crop(engine: Engine, photo: Photo, face: Face) -> Chips:
    with stage("crop"):
        return engine.crop(photo, [face])


def describe(engine: Engine, chips: Chips) -> Descriptors:
    """One descriptor a chip. Blocking."""
    with stage("describe"):
        return engine.describe(chips)


def crop_face(engine: Engine, image: object, limits: Limits, which: Which) -> tuple[Chips, dict[str, Any]]:
    """The chip of the one face of a photo in base64, ready for the network, and the fields of ``face_fields``.

    Blocking. Raises what ``encode`` raises.
    """
    if not isinstance(image, str):
        raise BadImage("An image is a string in base64.")
    with one_photo():
        photo, faces = find(engine, from_base64(image, limits.max_bytes), limits)
        face = choose(faces, photo, which)
        return crop(engine, photo, face), face_fields(face, photo)


def choose(faces: Sequence[Face], photo: Photo, which: Which) -> Face:
    """The face that is meant, or an error: never a guess."""
    if not faces:
        raise NoFace()
    if len(faces) > 1 and which == "one":
        raise MultipleFaces(
            f"{len(faces)} faces were found in the image. Send a photo of one person, or ask for faces=largest.",
            face_count=len(faces),
            faces=[face_fields(face, photo) for face in faces],
        )
    return max(faces, key=_area)


def tilt(face: Face) -> float | None:
    """The head's roll in degrees, rounded as answers have it; None where the landmarks do not tell."""
    degrees = roll(face)
    return None if degrees is None else round(degrees, 1)


def refuse_tilted(face: Face, max_roll: float) -> None:
    """Raise HeadTilted where the head is tilted by more than so many degrees, to either side."""
    degrees = tilt(face)
    if degrees is not None and abs(degrees) > max_roll:
        raise HeadTilted(
            f"The head is tilted by {abs(degrees):g} degrees; at most {max_roll:g} can be enrolled.",
            roll=degrees,
            max_roll=max_roll,
        )


def face_fields(face: Face, photo: Photo) -> dict[str, Any]:
    """``bbox`` as [x1, y1, x2, y2] in pixels of the upright photo, kept inside it, and ``confidence``."""
    left, top, right, bottom = face.box
    return {
        "bbox": [max(left, 0), max(top, 0), min(right, photo.width), min(bottom, photo.height)],
        "confidence": round(face.confidence, 4),
    }


def _area(face: Face) -> int:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
