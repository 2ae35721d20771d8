"""A gallery with two collections of one shape: in one each text is a payload, in the other it is harmless.

So each page about the one has the elements of the same page about the other; what it has beyond them is a payload's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from console_service import Console, console_service
from payloads import STORABLE

from face128.domain.descriptors import Descriptors, Vector
from face128.domain.model_card import DLIB
from face128.domain.terms import Terms
from face128.gallery.gallery import Gallery
from face128.gallery.people.people import store_terms
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.statements import insert_faces, next_version
from face128.gallery.trail.decisions import KeptDecision, keep

HARMLESS = tuple(f"Harmless text {number:03}" for number in range(len(STORABLE)))
TEXTS = {"hostile": STORABLE, "harmless": HARMLESS}
"""By the collection: the texts of its people, one for each."""
ALBUM_PHOTOS = 50
ALBUMS = [f"album-{number}" for number in range(-(-len(STORABLE) // ALBUM_PHOTOS))]
"""People whose photos have all texts as metadata, fifty each: as many as a page shows."""
DECISION_DAYS = 30


def fill(url: str) -> None:
    """Each text is an id, a name, a consent and metadata; two people at a time have nearly the same face."""
    with closing(Gallery(url)) as gallery:
        for collection, texts in TEXTS.items():
            own = gallery.of_collection(collection)
            with own.database.writing() as connection:
                version = next_version(connection)
                faces = iter(_faces(2 * len(texts)))
                rows = []
                for text in texts:
                    rows.append(_row(text, {text: [text]}, next(faces), version))
                for number, note in enumerate(texts):
                    rows.append(_row(ALBUMS[number // ALBUM_PHOTOS], {note: note}, next(faces), version))
                insert_faces(connection, rows)
                for text in texts:
                    store_terms(connection, text, Terms(consent=text))
                made = [KeptDecision("search", text, 0.3, 0.1, "look_again", "cohort", DLIB.name) for text in texts]
                keep(connection, made, DECISION_DAYS)


def _faces(count: int) -> Descriptors:
    """Two at a time are near each other."""
    random = np.random.default_rng(27)
    faces = random.normal(0, 0.1, (count // 2, DLIB.dimension)).repeat(2, axis=0)
    return (faces + random.normal(0, 0.001, faces.shape)).astype(np.float32)


def _row(user_id: str, metadata: dict[str, Any], face: Vector, version: int) -> dict[str, Any]:
    new = NewFace(np.asarray(face, np.float32), face.tobytes(), metadata)
    return new.table_row(Person(user_id, user_id), DLIB, version)


@contextmanager
def hostile_console(folder: Path) -> Iterator[Console]:
    """A service without keys that has this gallery."""
    fill(f"sqlite:///{folder}/gallery.sqlite")
    settings = {"FACE128_DATA": str(folder), "FACE128_DECISION_LOG_DAYS": str(DECISION_DAYS)}
    with console_service(
        keys=False, FACE128_ENGINES="fake", FACE128_DECISION="cohort", FACE128_REVIEW_ALPHA="0.2", **settings
    ) as console:
        yield console
