"""One to one: is the probe this person's face? Reads this person's rows, and nobody else's descriptors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Matrix, Vector
from face128.domain.model_card import ModelCard
from face128.domain.template import Template
from face128.errors import ModelMismatch, NotFound
from face128.gallery.index_sync import comparable_models
from face128.gallery.records import RECORD_COLUMNS, Person, Record
from face128.gallery.statements import of_user
from face128.gallery.tables import faces
from face128.matching.templates import templates
from face128.matching.verification import distance_to_person

NO_PERSON = "There is nobody enrolled like this."


@dataclass(frozen=True)
class Verification:
    person: Person
    distance: float
    threshold: float
    model: str
    """The probe's."""

    @property
    def verified(self) -> bool:
        return self.distance <= self.threshold


def verify(
    connection: sa.Connection,
    user_id: str,
    probe: Matrix | Vector,
    card: ModelCard,
    threshold: float | None,
    template: Template,
) -> Verification:
    """Compare the probe with one person, by their nearest face or their mean; a ``threshold`` replaces the card's.

    Raises NotFound, ModelMismatch if no face of the person is comparable, InvalidDescriptor as ``distance`` does.
    """
    person, records = _faces_of_person(connection, user_id)
    comparable = [record for record in records if record.model in comparable_models(card)]
    if not comparable:
        raise ModelMismatch(f"This person has no face of a model that is comparable with {card.name}.")
    vectors = np.array([record.descriptor for record in comparable])
    if template == "mean":  # one for each model
        _, models = np.unique([record.model for record in comparable], return_inverse=True)
        vectors = templates(vectors, models, card.metric, card.cohort_cap).vectors
    distance = distance_to_person(vectors, probe, card.metric)
    return Verification(person, distance, card.threshold if threshold is None else threshold, card.name)


def _faces_of_person(connection: sa.Connection, user_id: str) -> tuple[Person, list[Record]]:
    """The person, and their faces in the order of enrolment: of this user_id, and of the same person by name."""
    own = _read(connection, of_user(connection, user_id))
    if not own:
        raise NotFound(NO_PERSON)
    person = own[0].person
    if person.name is None:
        return person, own
    of_name = (faces.c.name == person.name) & (faces.c.user_id != user_id)
    if not person.by_name:  # another user of this name is another person, a record is not: Person.same_as
        of_name &= faces.c.record_id == faces.c.user_id
    records = {record.face_id: record for record in own + _read(connection, of_name)}
    return person, [records[face_id] for face_id in sorted(records)]


def _read(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Record]:
    rows = connection.execute(sa.select(*RECORD_COLUMNS).where(condition).order_by(faces.c.id))
    return [Record.from_row(row) for row in rows]
