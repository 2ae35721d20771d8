"""The people of a gallery as an audit reads them: from its rows, in little more memory than the descriptors take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix
from face128.domain.fusion import fuse
from face128.domain.model_card import ModelCard, find_card, pair_card
from face128.gallery.rows.records import Person, Record
from face128.jobs.audit.findings import Finding
from face128.jobs.audit.lenient_reader import ComparableDescriptors
from face128.jobs.photo_quality import PhotoQualities

DETAILS = {
    "unknown_model": "the model of this descriptor is not known",
    "invalid_descriptor": "its numbers cannot be used",
    "all_zero": "all numbers are zero",
}


@dataclass
class _Rows:
    """Descriptors of models that may be compared with each other."""

    card: ModelCard
    owners: list[int] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    """As they are stored: little-endian float32."""
    seconds: bytearray = field(default_factory=bytearray)
    """Of pairs, those of the second network."""

    def append(self, owner: int, model: str, face_id: int, data: bytes, second: bytes = b"") -> None:
        self.owners.append(owner)
        self.models.append(model)
        self.faces.append(face_id)
        self.data += data
        self.seconds += second

    def matrix(self) -> Matrix:
        """(rows, dimension) the descriptors."""
        first, second = (np.frombuffer(each, "<f4").reshape(len(self.owners), -1) for each in (self.data, self.seconds))
        return fuse(first, second) if self.seconds else first


class GalleryMembers:
    """As ``ReadMembers``. It holds nobody's name: a member's number is the id of the row of one of their faces, and a
    place is that of the photo's row.

    A record of the records service is of the person of its name, as in searches.
    """

    def __init__(self, photos: Iterable[tuple[Record, Mapping[str, bytes]]]) -> None:
        """``photos`` with their descriptors, by their models."""
        self.findings: list[Finding] = []
        self.qualities = PhotoQualities()
        self.groups: list[ComparableDescriptors] = []
        self.people: list[int] = []
        self.models: Counter[str] = Counter()
        """Descriptors by their model."""
        self.photo_count = 0
        owners: dict[str, int] = {}
        firsts: list[tuple[int, Person]] = []
        rows: dict[frozenset[str], _Rows] = {}
        for record, descriptors in photos:
            owner = owners.setdefault(record.person.user_id, len(owners))
            if owner == len(firsts):
                firsts.append((record.face_id, record.person))
            self._add(record, owner, descriptors, rows)
        person_of = self._people_of(firsts)
        while rows:
            _, group = rows.popitem()
            self._add_group(group, person_of)
        self.groups.sort(key=lambda group: not group.is_pairs)  # pairs know more

    def _add(
        self, record: Record, owner: int, descriptors: Mapping[str, bytes], rows: dict[frozenset[str], _Rows]
    ) -> None:
        self.photo_count += 1
        self.qualities.add(record.face_id, None, str(record.face_id), record.photo_facts)
        cards = []
        for model, data in descriptors.items():
            self.models[model] += 1
            card = find_card(model)
            if card is None:
                self._note("unknown_model", record.face_id, record.face_id)
            elif len(data) != 4 * card.dimension:
                self._note("invalid_descriptor", record.face_id, record.face_id)
            else:
                cards.append((card, data))
                _group(rows, card).append(owner, card.name, record.face_id, data)
        for first, one in cards:
            for second, other in cards:
                if (pair := pair_card(first, second)) is not None:
                    _group(rows, pair).append(owner, pair.name, record.face_id, one, other)

    def _people_of(self, firsts: list[tuple[int, Person]]) -> npt.NDArray[np.int64]:
        """For each owner, whose first face and person are given, the index in ``people``: a record and the users of its
        name are one person.
        """
        of_records = {person.name for _, person in firsts if person.by_name}
        indexes: dict[tuple[str, str], int] = {}
        found = []
        for face_id, person in firsts:
            named = person.name is not None and person.name in of_records
            key = ("name", person.name or "") if named else ("user", person.user_id)
            index = indexes.setdefault(key, len(indexes))
            if index == len(self.people):
                self.people.append(face_id)
            found.append(index)
        return np.array(found, np.int64)

    def _add_group(self, rows: _Rows, person_of: npt.NDArray[np.int64]) -> None:
        vectors, owners = rows.matrix(), person_of[rows.owners]
        finite = np.asarray(np.isfinite(vectors).all(axis=1))
        good = np.asarray(finite & vectors.any(axis=1))
        if "+" not in rows.card.name:  # a pair has what its two descriptors have
            for row in np.flatnonzero(~good).tolist():
                kind = "all_zero" if finite[row] else "invalid_descriptor"
                self._note(kind, self.people[owners[row]], rows.faces[row])
        if good.all():
            models, face_ids = rows.models, rows.faces
        else:
            vectors, owners = vectors[good], owners[good]
            models, face_ids = list(compress(rows.models, good.tolist())), list(compress(rows.faces, good.tolist()))
        if len(vectors):
            places = list(map(str, face_ids))
            self.groups.append(ComparableDescriptors(rows.card, vectors, owners, models, places))

    def _note(self, kind: str, person: int, photo: int) -> None:
        self.findings.append(Finding(kind, (person,), DETAILS[kind], photos=(str(photo),)))


def _group(rows: dict[frozenset[str], _Rows], card: ModelCard) -> _Rows:
    return rows.setdefault(card.comparable_with | {card.name}, _Rows(card))
