"""Refuses a photo at enrolment that is not of the person: one that is far from the person's other photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.errors import InconsistentPerson
from face128.gallery.records import RECORD_COLUMNS, NewFace, Person, Record
from face128.gallery.tables import faces
from face128.matching.templates import MAX_CENTRES, far_from_the_others

_FAR = "This photo is further from the person's other photos than one face is. If it is theirs: force=true."


def refuse_inconsistent(
    connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard, *, replace: bool
) -> None:
    """Raise InconsistentPerson for the first of the new faces that is far from the others, stored or new.

    New faces must not outvote the stored ones either: it is also raised if a stored face is far only because of them.
    With ``replace``, the faces of this user_id are about to be erased, and do not count. Of many stored ones the oldest
    MAX_CENTRES count.
    """
    stored, hashes = _stored(connection, person, card, replace=replace)
    fresh = [place for place, face in enumerate(new) if face.content_hash(person, card) not in hashes]
    if not fresh or len(stored) + len(fresh) < 2:
        return
    vectors = np.array([*stored, *(new[place].descriptor for place in fresh)], np.float64)
    far, apart = far_from_the_others(vectors, card.metric, card.cohort_cap)
    outvoted = far[: len(stored)].copy()
    if stored:
        outvoted &= ~far_from_the_others(vectors[: len(stored)], card.metric, card.cohort_cap)[0]
    wrong = np.flatnonzero(np.append(outvoted, far[len(stored) :]))
    if len(wrong):
        new_wrong = wrong[wrong >= len(stored)] - len(stored)
        index = fresh[int(new_wrong[0])] if len(new_wrong) else fresh[0]
        first = int(new_wrong[0]) + len(stored) if len(new_wrong) else int(wrong[0])
        raise InconsistentPerson(_FAR, index=index, distance=float(apart[first]), limit=card.cohort_cap)


def _stored(
    connection: sa.Connection, person: Person, card: ModelCard, *, replace: bool
) -> tuple[list[np.ndarray], set[str]]:
    """The descriptors and content hashes of the person's stored faces of this model."""
    of_person = faces.c.user_id == person.user_id
    if replace:
        of_person = sa.false()
    if person.name is not None:
        of_name = faces.c.name == person.name
        of_person |= of_name if person.by_name else of_name & (faces.c.record_id == faces.c.user_id)
    wanted = sa.select(*RECORD_COLUMNS, faces.c.content_hash).where(of_person & (faces.c.model == card.name))
    rows = connection.execute(wanted.order_by(faces.c.id).limit(MAX_CENTRES)).all()
    # A database may compare names without regard to case.
    same = [(Record.from_row(row), row.content_hash) for row in rows]
    same = [(record, content) for record, content in same if record.person.same_as(person)]
    return [record.descriptor for record, _ in same], {content for _, content in same}
