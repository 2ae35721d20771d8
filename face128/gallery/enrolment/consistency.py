"""Refuses a photo at enrolment that is not of the person: one that is far from the person's other photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from face128.domain import decision_models
from face128.domain.decision_models import DecisionModels
from face128.domain.model_card import ModelCard, find_card
from face128.errors import InconsistentPerson
from face128.gallery.rows.records import RECORD_COLUMNS, NewFace, Person, stored_vector
from face128.gallery.rows.space_rows import has_companions, read_descriptors
from face128.gallery.rows.statements import forms_of_hashes
from face128.gallery.rows.stored_rows import Embeddings, opened, record_of, stored_as
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.storage.tables import companions, faces, in_collection
from face128.matching.templates import MAX_CENTRES, far_from_the_others

_FAR = "This photo is further from the person's other photos than one face is. If it is theirs: force=true."


def refuse_inconsistent(
    connection: sa.Connection,
    person: Person,
    new: Sequence[NewFace],
    card: ModelCard,
    order: DecisionModels,
    *,
    replace: bool,
) -> None:
    """Raise InconsistentPerson for the first of the new faces that is far from the others, stored or new.

    New faces must not outvote the stored ones either: it is also raised if a stored face is far only because of them.
    With ``replace``, the faces of this user_id are about to be erased, and do not count. Of many stored ones the oldest
    MAX_CENTRES count. They are compared by the model, or by the pairs, that most of them have; of equals, by the first
    in the ``order``.
    """
    models = {model for face in new for model in (card.name, *face.companions)}
    stored, hashes = _stored(connection, person, models, replace=replace)
    fresh = [
        place
        for place, face in enumerate(new)
        if hashes.isdisjoint(forms_of_hashes(connection, face.content_hashes(person, card)))
    ]
    if not fresh or len(stored) + len(fresh) < 2:
        return
    photos = [*stored, *(new[place].by_model(card) for place in fresh)]
    name, space = _shared(photos, [card, *(other for model in sorted(models) if (other := find_card(model)))], order)
    compared = [place for place, photo in enumerate(photos) if photo.keys() >= set(name.split("+"))]
    fresh = [fresh[place - len(stored)] for place in compared if place >= len(stored)]
    count = len(compared) - len(fresh)
    if not fresh or len(compared) < 2:
        return
    vectors = vectors_of([name] * len(compared), [photos[place] for place in compared]).astype(np.float64)
    far, apart = far_from_the_others(vectors, space.metric, space.cohort_cap)
    outvoted = far[:count].copy()
    if count:
        outvoted &= ~far_from_the_others(vectors[:count], space.metric, space.cohort_cap)[0]
    wrong = np.flatnonzero(np.append(outvoted, far[count:]))
    if len(wrong):
        new_wrong = wrong[wrong >= count] - count
        index = fresh[int(new_wrong[0])] if len(new_wrong) else fresh[0]
        first = int(new_wrong[0]) + count if len(new_wrong) else int(wrong[0])
        raise InconsistentPerson(_FAR, index=index, distance=float(apart[first]), limit=space.cohort_cap)


def _shared(photos: Sequence[Embeddings], cards: list[ModelCard], order: DecisionModels) -> tuple[str, StoredSpace]:
    """What most of the photos can be compared by, and its space. Comparable models count apart: alignments differ."""
    by_name = {card.name: card for card in (*(decision_models.spaces(cards, order) if len(cards) > 1 else ()), *cards)}
    shares = {name: sum(photo.keys() >= set(name.split("+")) for photo in photos) for name in by_name}
    best = max(shares, key=lambda name: shares[name])
    return best, StoredSpace.of(by_name[best])


def _stored(
    connection: sa.Connection, person: Person, models: set[str], *, replace: bool
) -> tuple[list[Embeddings], set[str]]:
    """The descriptors and content hashes of the person's stored photos with any of these models."""
    of_person = stored_as(connection, faces.c.user_id, person.user_id)
    if replace:
        of_person = sa.false()
    if person.name is not None:
        of_name = stored_as(connection, faces.c.name, person.name)
        of_person |= of_name if person.by_name else of_name & (faces.c.record_id == faces.c.user_id)
    of_models: sa.ColumnElement[bool] = faces.c.model.in_(models)
    if has_companions(connection):
        by_others = companions.c.model.in_(models) & in_collection(connection, companions)
        of_models |= faces.c.id.in_(sa.select(companions.c.face_id).where(by_others))
    own = of_person & of_models & in_collection(connection)
    wanted = sa.select(*RECORD_COLUMNS, faces.c.content_hash).where(own)
    rows = connection.execute(wanted.order_by(faces.c.id).limit(MAX_CENTRES)).all()
    found = [(record_of(connection, row), row[-1]) for row in opened(connection, rows)]
    # A database may compare names without regard to case.
    same = [(record, content) for record, content in found if record is not None and record.person.same_as(person)]
    own_rows = [(record.face_id, record.model, stored_vector(record.descriptor)) for record, _ in same]
    return read_descriptors(connection, own_rows), {content for _, content in same}
