"""Enrols a person's faces, in a writing transaction: all or none, unless one of them looks like somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.domain.probe import Probe
from face128.errors import Duplicate, TooManyImages
from face128.gallery import statements
from face128.gallery.records import NewFace, Person, Record, SearchHit
from face128.gallery.tables import faces

NearestFaces = Callable[[sa.Connection, Probe], Iterator[tuple[SearchHit, ModelCard]]]


def refuse_duplicates(
    connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard, nearest: NearestFaces
) -> None:
    """Raise Duplicate for the first of the new faces that is within the threshold of another person's."""
    for position, face in enumerate(new):
        for hit, space in nearest(connection, Probe.of(card, face.descriptor, face.companions)):
            if hit.distance > space.threshold:
                break
            other = hit.record.person
            if not person.same_as(other):
                sentence = f"This face is already enrolled as {other.name or other.user_id}. If it is not: force=true."
                context = {"user_id": other.user_id, "name": other.name, "distance": hit.distance, "index": position}
                raise Duplicate(sentence, **context)


def store(
    connection: sa.Connection,
    person: Person,
    new: Sequence[NewFace],
    card: ModelCard,
    *,
    replace: bool,
    max_faces: int | None,
    is_number: bool | None,
) -> list[Record]:
    """Store the faces, after erasing the person's others with ``replace``. Raises TooManyImages."""
    person = statements.resolve_person(connection, person, is_number)
    of_person = faces.c.user_id == person.user_id
    if replace:
        statements.erase_faces(connection, of_person)
    stored = statements.add_faces(connection, person, new, card)
    if max_faces is not None and statements.count_faces(connection, of_person) > max_faces:
        raise TooManyImages(f"A person has at most {max_faces} faces. To replace the stored ones: replace=true.")
    return stored
