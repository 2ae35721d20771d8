"""One to one: is the probe this person's face? Reads this person's rows, and nobody else's descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Matrix, Vector
from face128.domain.model_card import ModelCard
from face128.domain.template import Template
from face128.domain.thresholds import Thresholds
from face128.errors import ModelMismatch, NotFound
from face128.gallery.rows.records import Person, Record, stored_vector
from face128.gallery.rows.space_rows import read_descriptors
from face128.gallery.rows.statements import of_user, read_records
from face128.gallery.rows.stored_rows import stored_as
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.storage.tables import faces
from face128.matching.templates import templates
from face128.matching.verification import distance_to_person

NO_PERSON = "There is nobody enrolled like this."


@dataclass(frozen=True)
class Verification:
    person: Person
    distance: float
    threshold: float
    model: str
    """The probe's in the space that decides."""

    @property
    def verified(self) -> bool:
        return self.distance <= self.threshold


def verify(
    connection: sa.Connection,
    user_id: str,
    probe: Sequence[tuple[ModelCard, Matrix | Vector]],
    thresholds: Thresholds,
    template: Template,
) -> Verification:
    """Compare the probe with one person, by their nearest face or their mean, in the first space that they share.

    ``probe`` is what it can be compared in, the preferred first. Raises NotFound, ModelMismatch if no face of the
    person is comparable, InvalidDescriptor as ``distance`` does.
    """
    person, records = _faces_of_person(connection, user_id)
    rows = [(record.face_id, record.model, stored_vector(record.descriptor)) for record in records]
    photos = read_descriptors(connection, rows)
    for card, vector in probe:
        space = StoredSpace.of(card)
        comparable = [(name, photo) for photo in photos if (name := space.model_of(photo)) is not None]
        if not comparable:
            continue
        vectors = vectors_of([name for name, _ in comparable], [photo for _, photo in comparable])
        if template == "mean":  # one for each model
            _, models = np.unique([name for name, _ in comparable], return_inverse=True)
            vectors = templates(vectors, models, card.metric, card.cohort_cap).vectors
        distance = distance_to_person(vectors, vector, card.metric)
        return Verification(person, distance, thresholds.get(card.name, card.threshold), card.name)
    names = ", ".join(card.name for card, _ in probe if "+" not in card.name)
    raise ModelMismatch(f"This person has no face of a model that is comparable with {names}.")


def _faces_of_person(connection: sa.Connection, user_id: str) -> tuple[Person, list[Record]]:
    """The person, and their faces in the order of enrolment: of this user_id, and of the same person by name."""
    own = read_records(connection, of_user(connection, user_id))
    if not own:
        raise NotFound(NO_PERSON)
    person = own[0].person
    if person.name is None:
        return person, own
    of_name = stored_as(connection, faces.c.name, person.name)
    of_name &= sa.not_(stored_as(connection, faces.c.user_id, user_id))
    if not person.by_name:  # another user of this name is another person, a record is not: Person.same_as
        of_name &= faces.c.record_id == faces.c.user_id
    records = {record.face_id: record for record in own + read_records(connection, of_name)}
    return person, [records[face_id] for face_id in sorted(records)]
