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
from face128.jobs.photo_quality import PhotoQualities

ADVICE = {
    "invalid_member": "Give every member a regNo, a number or a string.",
    "invalid_descriptor": "Encode this member's photo again.",
    "all_zero": "Encode this member's photo again: no network gives zeros.",
    "unknown_model": "Name a model that face128 knows, or encode the photos again.",
    "mixed_models": "Encode all members with one model: these descriptors cannot be compared.",
    "duplicate": "One photo is enrolled under two regNos: find out whose it is.",
    "too_near": "One may be let in as the other: look at both photos. Twins need another check at the door.",
    "too_far": "Look at this member's photos: is one of someone else, or of bad quality?",
    "inconsistent_person": "Take these photos out of the member's list, or enrol the right ones: ?replace=true.",
    "not_enrolled": "Send a photo.",
    "poor_photo": "Enrol them with a new photo.",
    "origin": 'They may be compared; correct "model", so that it names the model that made them.',
}
INFORMATIONAL_KINDS = {"not_enrolled", "poor_photo", "origin"}  # they need no action of a person


@dataclass(frozen=True)
class Finding:
    """One defect of one member or of several."""

    kind: str
    members: tuple[RegNo | None, ...]
    detail: str
    distance: float | None = None

    @property
    def needs_person(self) -> bool:
        return self.kind not in INFORMATIONAL_KINDS


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
    places: list[str]
    """(rows,) the field that each row came from."""


class UncheckedMembers:
    """A list of members, or a body of /match. Raises BadRequest if ``data`` is neither."""

    def __init__(self, data: bytes) -> None:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise BadRequest("The file is not valid JSON.") from None
        body = document if isinstance(document, dict) else {"enrolled": document}
        members = body.get("enrolled")
        if not isinstance(members, list):
            raise BadRequest('The file holds a list of members, or {"enrolled": [...]}.')
        self.entry_count = len(members)
        self.findings: list[Finding] = []
        """The errors that were found while reading."""
        self.qualities = PhotoQualities()
        """Of the members' faces, where the file has it: an export, or a re-encoding."""
        self._ids: dict[tuple[type, RegNo], int] = {}
        self._rows: dict[frozenset[str], list[tuple[Vector, int, ModelCard, str]]] = {}
        model = body.get("model")
        for index, member in enumerate(members):
            self._add(index, member, DLIB.name if model is None else model)
        self.people = [reg_no for _, reg_no in self._ids]
        """Each once: a member may be in the list several times."""
        self.groups = [
            ComparableDescriptors(
                cards[0], np.array(vectors), np.array(owners), [card.name for card in cards], list(places)
            )
            for vectors, owners, cards, places in (zip(*rows, strict=True) for rows in self._rows.values())
        ]

    def _add(self, index: int, member: Any, default_model: Any) -> None:
        reg_no: Any = member.get("regNo") if isinstance(member, dict) else None
        kind = type(reg_no)
        if not (kind is int or kind is str or (kind is float and math.isfinite(reg_no))):
            self.findings.append(Finding("invalid_member", (None,), f"enrolled[{index}] has no regNo"))
            return
        owner = self._ids.setdefault((kind, reg_no), len(self._ids))
        faces = member.get("faces")
        for face in faces if isinstance(faces, list) else ():
            name = member.get("name")
            photo_facts = face.get("photo_facts") if isinstance(face, dict) else None
            self.qualities.add(reg_no, name if isinstance(name, str) else None, "", photo_facts)
        several = member.get("descriptors")
        values = [member.get("descriptor"), *(several if isinstance(several, list) else [several])]
        present = [value for value in values if value is not None]
        if not present:
            self.findings.append(Finding("not_enrolled", (reg_no,), "no descriptor"))
            return
        card = find_card(member.get("model", default_model))
        if card is None:
            self.findings.append(Finding("unknown_model", (reg_no,), "the model of this descriptor is not known"))
            return
        fields = ["descriptor", *(f"descriptors[{place}]" for place in range(len(values) - 1))]
        for field, value in zip(fields, values, strict=True):
            if value is None:
                continue
            try:
                vector = descriptors.parse(value, card.dimension)
            except InvalidDescriptor as error:
                self.findings.append(Finding("invalid_descriptor", (reg_no,), str(error)))
                continue
            if not vector.any():
                self.findings.append(Finding("all_zero", (reg_no,), "all numbers are zero"))
                continue
            self._rows.setdefault(card.comparable_with | {card.name}, []).append(
                (vector, owner, card, f"enrolled[{index}].{field}")
            )
