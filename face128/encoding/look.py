"""A look at a photo for somebody who tries it: all its faces with their quality, the largest one described, and a small
copy of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from face128.encoding.encode import Encoding, describe_face, face_area, find_faces
from face128.encoding.quality import Quality, assess
from face128.engines.base import Engine, Face
from face128.events import one_photo
from face128.photos.photo import Limits
from face128.photos.preview import preview


@dataclass(frozen=True)
class LookedAt:
    width: int
    height: int
    """Of the upright photo, in pixels."""
    faces: list[Face]
    """The largest first: that is the one which is described."""
    qualities: list[Quality]
    described: Encoding | None
    """As ``encode`` describes the largest face of a photo; None where there is no face."""
    preview: bytes
    """A JPEG."""


def look(engine: Engine, data: bytes, limits: Limits, companions: Sequence[Engine] = ()) -> LookedAt:
    """A photo without a face, or with several, is no error here. Blocking. Raises what open_photo raises for the file.

    ``companions`` describe the same face, as in ``encode``.
    """
    with one_photo():
        photo, found = find_faces(engine, data, limits)
        faces = sorted(found, key=face_area, reverse=True)
        qualities = [assess(photo, face) for face in faces]
        described = None
        if faces:
            descriptor, others = describe_face(engine, companions, photo, faces[0], 1)
            described = Encoding(descriptor, engine.card.name, faces[0], len(faces), photo, qualities[0], others)
        return LookedAt(photo.width, photo.height, faces, qualities, described, preview(photo))
