"""Reads members with all their errors: /match refuses a list at its first error, an audit names every one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain import descriptors
from face128.domain.descriptors import Matrix, Vector
from face128.domain.fusion import fuse
from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard, find_card, pair_card
from face128.errors import InvalidDescriptor
from face128.jobs.audit.findings import Finding
from face128.jobs.audit.member_documents import read_documents
from face128.jobs.photo_quality import PhotoQualities


@dataclass(frozen=True)
class ComparableDescriptors:
    """Descriptors of models that may be compared with each other, or pairs of two networks'."""

    card: ModelCard
    vectors: Matrix
    """(rows, dimension)"""
    owners: npt.NDArray[np.int64]
    """(rows,) the index of each row's person in UncheckedMembers.people."""
    models: list[str]
    """(rows,) the name of each row's model."""
    places: list[str]
    """(rows,) the field that each row came from."""

    @property
    def is_pairs(self) -> bool:
        return "+" in self.card.name


@dataclass(frozen=True)
class _Row:
    vector: Vector
    owner: int
    card: ModelCard
    place: str


class UncheckedMembers:
    """A list of members, or a body of /match. Raises BadRequest if ``data``, which is of ``source``, is neither."""

    def __init__(self, data: bytes, source: Path | str = "The file") -> None:
        members, model = read_documents(data, source)
        self.entry_count = len(members)
        self.findings: list[Finding] = []
        """The errors that were found while reading."""
        self.qualities = PhotoQualities()
        """Of the members' faces, where the file has it: an export, or a re-encoding."""
        self._ids: dict[tuple[type, RegNo], int] = {}
        self._names: dict[int, str] = {}
        self._rows: dict[frozenset[str], list[_Row]] = {}
        self._pairs: dict[frozenset[str], list[tuple[_Row, _Row]]] = {}
        for index, member in enumerate(members):
            self._add(index, member, model)
        self.people = [reg_no for _, reg_no in self._ids]
        """Each once: a member may be in the list several times."""
        self.names = [self._names.get(owner) for owner in range(len(self.people))]
        self.groups = [*map(_paired, self._pairs.values()), *map(_alone, self._rows.values())]
        """Pairs first: they know more."""

    def name_of(self, reg_no: RegNo | None) -> str | None:
        owner = None if reg_no is None else self._ids.get((type(reg_no), reg_no))
        return None if owner is None else self.names[owner]

    def _add(self, index: int, member: Any, default_model: Any) -> None:
        reg_no: Any = member.get("regNo") if isinstance(member, dict) else None
        kind = type(reg_no)
        if not (kind is int or kind is str or (kind is float and math.isfinite(reg_no))):
            self.findings.append(Finding("invalid_member", (None,), f"enrolled[{index}] has no regNo"))
            return
        owner = self._ids.setdefault((kind, reg_no), len(self._ids))
        name = member.get("name")
        if isinstance(name, str) and name.strip():
            self._names.setdefault(owner, name)
        faces = member.get("faces")
        for face in faces if isinstance(faces, list) else ():
            photo_facts = face.get("photo_facts") if isinstance(face, dict) else None
            self.qualities.add(reg_no, name if isinstance(name, str) else None, "", photo_facts)
        photos = list(_photos(member, member.get("model", default_model)))
        if not photos:
            self.findings.append(Finding("not_enrolled", (reg_no,), "no descriptor"))
        unknown = 0
        for photo in photos:
            rows = []
            for model, field, value in photo:
                card = find_card(model)
                if card is None:
                    unknown += 1
                elif row := self._row(reg_no, owner, card, f"enrolled[{index}].{field}", value):
                    rows.append(row)
            for row in rows:
                self._rows.setdefault(row.card.comparable_with | {row.card.name}, []).append(row)
            for first in rows:
                for second in rows:
                    if pair := pair_card(first.card, second.card):
                        self._pairs.setdefault(pair.comparable_with | {pair.name}, []).append((first, second))
        if unknown:
            self.findings.append(Finding("unknown_model", (reg_no,), "the model of this descriptor is not known"))

    def _row(self, reg_no: RegNo, owner: int, card: ModelCard, place: str, value: Any) -> _Row | None:
        try:
            vector = descriptors.parse(value, card.dimension)
        except InvalidDescriptor as error:
            self.findings.append(Finding("invalid_descriptor", (reg_no,), str(error)))
            return None
        if not vector.any():
            self.findings.append(Finding("all_zero", (reg_no,), "all numbers are zero"))
            return None
        return _Row(vector, owner, card, place)


def _photos(member: dict[str, Any], model: Any) -> Iterator[list[tuple[Any, str, Any]]]:
    """The descriptors of each photo: model, field and value. Those of two models at one position are of one photo."""
    own, several = member.get("descriptor"), member.get("descriptors")
    if not _by_model(several):
        if own is not None:
            yield [(model, "descriptor", own)]
        for place, value in enumerate(several if isinstance(several, list) else [several]):
            if value is not None:
                yield [(model, f"descriptors[{place}]", value)]
        return
    assert isinstance(several, dict)
    photos: list[list[tuple[Any, str, Any]]] = []
    for name, value in several.items():
        is_list = isinstance(value, list) and any(isinstance(one, list | dict | str) for one in value)
        for place, one in enumerate(value if is_list else [value]):
            if one is None:
                continue
            photos += [[] for _ in range(place + 1 - len(photos))]
            photos[place].append((name, f"descriptors.{name}[{place}]" if is_list else f"descriptors.{name}", one))
    same = own is None or any(name == model and value == own for name, _, value in (photos[0] if photos else []))
    yield from ([] if same else [[(model, "descriptor", own)]])
    yield from filter(None, photos)


def _by_model(value: Any) -> bool:
    """Whether ``descriptors`` is an object by model, and not one descriptor as JSON.stringify writes it."""
    return isinstance(value, dict) and not all(isinstance(key, str) and key.isdecimal() for key in value)


def _alone(rows: list[_Row]) -> ComparableDescriptors:
    return _described(rows, rows[0].card, np.array([row.vector for row in rows]), [row.card.name for row in rows])


def _paired(rows: list[tuple[_Row, _Row]]) -> ComparableDescriptors:
    firsts, seconds = map(list, zip(*rows, strict=True))
    cards = [pair_card(first.card, second.card) for first, second in rows]
    vectors = fuse(*(np.array([row.vector for row in side]) for side in (firsts, seconds)))
    assert cards[0] is not None
    return _described(firsts, cards[0], vectors, [card.name for card in cards if card])


def _described(
    rows: list[_Row], card: ModelCard, vectors: npt.NDArray[np.float64], models: list[str]
) -> ComparableDescriptors:
    owners, places = np.array([row.owner for row in rows]), [row.place for row in rows]
    return ComparableDescriptors(card, vectors, owners, models, places)
