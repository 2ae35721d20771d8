"""Whether new faces are another person's, or not of the person: compared before the writer lock, and again inside it.

A comparison with all faces takes as long as a search. It is made in a reading transaction, and others may write
meanwhile. Inside the lock, only what has changed since is compared: usually nothing, or a few faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import sqlalchemy as sa

from face128.domain.decision_models import DecisionModels
from face128.domain.descriptors import distances
from face128.domain.model_card import ModelCard
from face128.domain.probe import Probe
from face128.errors import Duplicate
from face128.gallery.enrolment.consistency import refuse_inconsistent
from face128.gallery.rows.records import NewFace, Person, SearchHit
from face128.gallery.rows.space_rows import count_changes, read_photos
from face128.gallery.rows.statements import current_version
from face128.gallery.rows.stored_rows import Embeddings, stored_texts
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.search.follower import GalleryChanged
from face128.gallery.search.person_spaces import in_one_version
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces, in_collection

T = TypeVar("T")
Owner = tuple[str, str | None, str]
"""The user_id, the name and the record's id, as they are stored."""
NearestFaces = Callable[[sa.Connection, Probe], Iterator[tuple[SearchHit, ModelCard]]]

MAX_CHANGES = 1_000  # faces that are compared inside the lock: with more, all are compared again before it
MAX_COMPARISONS = 3  # with all faces, before the lock; after that, inside it


@dataclass(frozen=True)
class _Known:
    """What a comparison has seen."""

    version: int
    last_id: int
    """The greatest id of a face."""


@dataclass(frozen=True)
class Comparison:
    """Of a person's new faces with the stored ones. ``nearest`` finds those, nearest first."""

    person: Person
    new: Sequence[NewFace]
    card: ModelCard
    order: DecisionModels
    nearest: NearestFaces
    replace: bool
    """Whether the person's stored faces are about to be erased."""

    def run(self, database: Database, change: Callable[[sa.Connection], T]) -> T:
        """Make the change in a writing transaction in which nothing speaks against the new faces.

        Raises Duplicate, and InconsistentPerson.
        """
        for _ in range(MAX_COMPARISONS):
            known = in_one_version(database, self._with_all, compared=True)
            try:
                with database.writing() as connection:
                    self._with_changes(connection, known)
                    return change(connection)
            except GalleryChanged:
                continue
        with database.writing() as connection:
            self._with_all(connection)
            return change(connection)

    def look(self, database: Database) -> None:
        """Raise what ``run`` would raise now, and change nothing."""
        in_one_version(database, self._with_all)

    def _with_all(self, connection: sa.Connection) -> _Known:
        version = current_version(connection)
        self._refuse_duplicates(connection)
        self._refuse_inconsistent(connection)
        own = in_collection(connection, whole=True)  # else MariaDB reads the whole index for it
        last = connection.execute(sa.select(sa.func.max(faces.c.id)).where(own)).scalar()
        return _Known(version, last or 0)

    def _with_changes(self, connection: sa.Connection, known: _Known) -> None:
        """Raises GalleryChanged where there are too many."""
        if current_version(connection) == known.version:
            return
        changed, erased = count_changes(connection, known.version)
        if changed > MAX_CHANGES:
            raise GalleryChanged()
        photos = list(read_photos(connection, known.version))
        only_new = not erased and all(face_id > known.last_id for face_id, _, _ in photos)
        if self._may_be_duplicates([embeddings for _, embeddings, _ in photos], only_new=only_new):
            self._refuse_duplicates(connection)
        if not only_new or self._may_be_own(connection, [owner for _, _, owner in photos]):
            self._refuse_inconsistent(connection)

    def _refuse_duplicates(self, connection: sa.Connection) -> None:
        """Raise Duplicate for the first of the new faces that is within the threshold of another person's."""
        for position, face in enumerate(self.new):
            for hit, space in self.nearest(connection, Probe.of(self.card, face.descriptor, face.companions)):
                if hit.distance > space.threshold:
                    break
                other = hit.record.person
                if not self.person.same_as(other):
                    label = other.name or other.user_id
                    sentence = f"This face is already enrolled as {label}. If it is not: force=true."
                    named = {"user_id": other.user_id, "name": other.name}
                    raise Duplicate(sentence, **named, distance=hit.distance, index=position)

    def _refuse_inconsistent(self, connection: sa.Connection) -> None:
        refuse_inconsistent(connection, self.person, self.new, self.card, self.order, replace=self.replace)

    def _may_be_duplicates(self, photos: list[Embeddings], *, only_new: bool) -> bool:
        """Whether one of these photos, which have changed, is within the threshold, whoever it belongs to.

        With several spaces, what was erased or renamed may also change in which of them a person is decided.
        """
        probes = [Probe.of(self.card, face.descriptor, face.companions).spaces(self.order) for face in self.new]
        if not only_new and any(len(spaces) > 1 for spaces in probes):
            return True
        for card, vector in chain(*probes):
            space = StoredSpace.of(card)
            named = [(name, photo) for photo in photos if (name := space.model_of(photo)) is not None]
            if (
                named
                and (distances(vectors_of(*zip(*named, strict=True)), vector, card.metric) <= card.threshold).any()
            ):
                return True
        return False

    def _may_be_own(self, connection: sa.Connection, owners: list[Owner]) -> bool:
        """Whether the person may have one of these photos."""
        own = {
            form for text in (self.person.user_id, self.person.name) if text for form in stored_texts(connection, text)
        }
        return any(user_id in own or name in own for user_id, name, _ in owners)
