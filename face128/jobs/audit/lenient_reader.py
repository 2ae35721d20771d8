"""Reads members with all their errors: /match refuses a list at its first error, an audit names every one."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain import descriptors
from face128.domain.descriptors import Vector
from face128.domain.members import RegNo
from face128.domain.model_card import DLIB, ModelCard, find_card
from face128.errors import BadRequest, InvalidDescriptor
from face128.jobs.audit.findings import Finding


@dataclass(frozen=True)
class ComparableDescriptors:
    """Descriptors of models that may be compared with each other."""

    card: ModelCard
    vectors: npt.NDArray[np.float64]
    """(rows, dimension)"""
    owners: npt.NDArray[np.int64]
    """(rows,) the index of each row's person in UncheckedMembers.people."""
    models: list[str]
    """(rows,) the name of each row's model."""


@dataclass(frozen=True)
class UncheckedMembers:
    entry_count: int
    people: list[RegNo]
    """Each once: a member may be in the list several times."""
    groups: list[ComparableDescriptors]
    findings: list[Finding]
    """The errors that were found while reading."""


def read_unchecked(data: bytes) -> UncheckedMembers:
    """Read a list of members or a body of /match. Raises BadRequest if it is neither."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest("The file is not valid JSON.") from None
    body = document if isinstance(document, dict) else {"enrolled": document}
    members = body.get("enrolled")
    if not isinstance(members, list):
        raise BadRequest('The file holds a list of members, or {"enrolled": [...]}.')
    reader = _Reader(body.get("model"))
    for index, member in enumerate(members):
        reader.add(index, member)
    people = [reg_no for _, reg_no in reader.people]
    return UncheckedMembers(len(members), people, reader.groups(), reader.findings)


class _Reader:
    def __init__(self, model: Any) -> None:
        self._model = DLIB.name if model is None else model
        self.people: dict[tuple[type, RegNo], int] = {}
        self.findings: list[Finding] = []
        self._rows: dict[frozenset[str], list[tuple[Vector, int, ModelCard]]] = {}

    def add(self, index: int, member: Any) -> None:
        reg_no: Any = member.get("regNo") if isinstance(member, dict) else None
        kind = type(reg_no)
        if not (kind is int or kind is str or (kind is float and math.isfinite(reg_no))):
            self.findings.append(Finding("invalid_member", (None,), f"enrolled[{index}] has no regNo"))
            return
        owner = self.people.setdefault((kind, reg_no), len(self.people))
        several = member.get("descriptors")
        values = [member.get("descriptor"), *(several if isinstance(several, list) else [several])]
        present = [value for value in values if value is not None]
        if not present:
            self.findings.append(Finding("not_enrolled", (reg_no,), "no descriptor"))
            return
        model = member.get("model", self._model)
        card = find_card(model)
        if card is None:
            self.findings.append(Finding("unknown_model", (reg_no,), "the model of this descriptor is not known"))
            return
        for value in present:
            try:
                vector = descriptors.parse(value, card.dimension)
            except InvalidDescriptor as error:
                self.findings.append(Finding("invalid_descriptor", (reg_no,), str(error)))
                continue
            if not vector.any():
                self.findings.append(Finding("all_zero", (reg_no,), "all numbers are zero"))
                continue
            self._rows.setdefault(card.comparable_with | {card.name}, []).append((vector, owner, card))

    def groups(self) -> list[ComparableDescriptors]:
        columns = (zip(*rows, strict=True) for rows in self._rows.values())
        return [
            ComparableDescriptors(cards[0], np.array(vectors), np.array(owners), [card.name for card in cards])
            for vectors, owners, cards in columns
        ]
