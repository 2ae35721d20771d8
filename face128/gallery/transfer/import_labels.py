"""Who the faces of an import belong to, for a report of duplicates and its error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.errors import Duplicate
from face128.gallery.rows.records import Person, Record
from face128.gallery.rows.statements import BATCH_ROWS, read_without_descriptors
from face128.gallery.storage.tables import faces
from face128.gallery.transfer.compared_faces import Column, ComparedFaces
from face128.gallery.transfer.file_rows import Row
from face128.gallery.transfer.import_duplicates import MAX_DUPLICATES, NearPairs


@dataclass(frozen=True)
class DuplicatePair:
    """Two people with one face."""

    people: tuple[Person, Person]
    """The first is in the file."""
    stored_id: str | None
    """The id of the second one's record, if it is stored; else both are in the file."""
    distance: float
    model: str
    """By which they were compared."""


class FileLabels:
    """The people of a file's faces, in few bytes each."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = Column(np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, rows: Sequence[Row]) -> None:
        ends = []
        for row in rows:
            by_name = row["record_id"] == row["user_id"]
            self._text += json.dumps([row["name"], row["user_id"], row["is_number"], by_name]).encode()
            ends.append(len(self._text))
        self._ends.extend(ends)

    def person(self, place: int) -> Person:
        start, end = (int(self._ends.values[at]) if at >= 0 else 0 for at in (place - 1, place))
        name, user_id, is_number, by_name = json.loads(self._text[start:end])
        return Person(name, user_id, is_number, by_name)


def duplicate_pairs(
    connection: sa.Connection, pairs: NearPairs, compared: ComparedFaces, labels: FileLabels, cards: Sequence[ModelCard]
) -> Iterator[DuplicatePair]:
    """The pairs with their people. One whose stored face was erased meanwhile is left out."""
    in_file = len(labels)  # the places behind are of stored ones
    for start in range(0, len(pairs), BATCH_ROWS):
        here = slice(start, start + BATCH_ROWS)
        stored = compared.ids.values[[place for place in pairs.second[here].tolist() if place >= in_file]]
        records = {each.face_id: each for each in read_without_descriptors(connection, faces.c.id.in_(stored.tolist()))}
        columns = (pairs.first, pairs.second, pairs.distances, pairs.models)
        for first, second, distance, card in zip(*(column[here].tolist() for column in columns), strict=True):
            other: Record | None = None
            if second >= in_file and (other := records.get(int(compared.ids.values[second]))) is None:
                continue
            people = labels.person(first), other.person if other else labels.person(second)
            yield DuplicatePair(people, other.id if other else None, distance, cards[card].name)


def refusal(pair: DuplicatePair, count: int, stored: int) -> Duplicate:
    """The error for the first of so many pairs; ``stored`` faces of the file are stored already."""
    one, other = pair.people
    number = f"{count:,}" if count < MAX_DUPLICATES else f"at least {count:,}"
    sentences = [f"{one.name or one.user_id} and {other.name or other.user_id} have one face."]
    if count > 1:
        sentences.append(f"There are {number} such pairs of faces: --report FILE lists them.")
    if stored:
        sentences.append(f"The second was enrolled during the import, when {stored} faces were stored; they stay.")
    context = {"user_id": other.user_id, "name": other.name, "distance": pair.distance}
    return Duplicate(" ".join([*sentences, "If that is right: --force"]), **context)
