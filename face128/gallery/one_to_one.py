"""One to one: is the probe this person's face? Reads this person's rows, and nobody else's descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_models import DecisionModels
from face128.domain.descriptors import Matrix, Vector
from face128.domain.model_card import ModelCard, find_card
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.domain.thresholds import Thresholds
from face128.errors import ModelMismatch, NotFound
from face128.gallery.rows.records import Person, Record, stored_vector
from face128.gallery.rows.space_rows import read_descriptors
from face128.gallery.rows.statements import of_user, read_records
from face128.gallery.rows.stored_rows import Embeddings, stored_as
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
    person, photos = _photos_of_person(connection, user_id)
    found = _compared(person, photos, probe, thresholds, template)
    if found is None:
        names = ", ".join(card.name for card, _ in probe if "+" not in card.name)
        raise ModelMismatch(f"This person has no face of a model that is comparable with {names}.")
    return found


def nearest_photos(
    connection: sa.Connection, user_id: str, other: str, order: DecisionModels, thresholds: Thresholds
) -> Verification | None:
    """How near the nearest two photos of two people are, as if that of ``user_id`` were a probe for the other person.

    None where no photo of one is comparable with one of the other. Raises NotFound.
    """
    _, own = _photos_of_person(connection, user_id)
    person, photos = _photos_of_person(connection, other)
    found: list[Verification] = []
    for photo in own:
        models = [(card, embedding) for model, embedding in photo.items() if (card := find_card(model))]
        vectors = tuple((card, np.frombuffer(embedding, "<f4").astype(np.float64)) for card, embedding in models)
        compared = _compared(person, photos, Probe(vectors).spaces(order), thresholds, "nearest") if vectors else None
        if compared is not None:
            found.append(compared)
    return min(found, key=lambda one: one.distance / one.threshold, default=None)


def _compared(
    person: Person,
    photos: Sequence[Embeddings],
    probe: Sequence[tuple[ModelCard, Matrix | Vector]],
    thresholds: Thresholds,
    template: Template,
) -> Verification | None:
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
    return None


def _photos_of_person(connection: sa.Connection, user_id: str) -> tuple[Person, list[Embeddings]]:
    person, records = _faces_of_person(connection, user_id)
    rows = [(record.face_id, record.model, stored_vector(record.descriptor)) for record in records]
    return person, read_descriptors(connection, rows)


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
