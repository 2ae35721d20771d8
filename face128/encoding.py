"""A photo in, the descriptor of its one face out: what /encode-image, the command line and re-encoding share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from face128 import watching
from face128.engines import Chips, Descriptors, Engine, Face
from face128.engines.roll import roll
from face128.errors import BadImage, MultipleFaces, NoFace
from face128.images import Limits, Photo, from_base64, open_photo
from face128.jitter import jittered
from face128.watching import one_photo, stage

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
        tilt = roll(self.face)
        return {
            "descriptor": self.descriptor.tolist(),
            "model": self.model,
            **face_fields(self.face, self.photo),
            "face_count": self.face_count,
            "roll": None if tilt is None else round(tilt, 1),
        }


def encode(engine: Engine, data: bytes, limits: Limits, which: Which = "one", num_jitters: int = 1) -> Encoding:
    """Decode a photo, find its face and describe it. Blocking.

    With ``num_jitters`` above 1 the descriptor is the mean of so many slightly moved copies of the face (jitter.py).
    Raises what open_photo raises for the file, NoFace, and MultipleFaces with every face's box.
    """
    with one_photo():
        photo, faces = find(engine, data, limits)
        face = choose(faces, photo, which)
        chips = crop(engine, photo, face)
        if num_jitters > 1:
            chips = jittered(chips[0], num_jitters)
        descriptor = describe(engine, chips).mean(axis=0, dtype=np.float32)
    return Encoding(descriptor, engine.card.name, face, len(faces), photo)


def find(engine: Engine, data: bytes, limits: Limits) -> tuple[Photo, list[Face]]:
    """Decode a photo and find its faces; the descriptor network does not run. Blocking."""
    with one_photo():
        photo = open_photo(data, limits)
        with stage("detect"):
            faces = engine.detect(photo)
    watching.faces(len(faces))
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
