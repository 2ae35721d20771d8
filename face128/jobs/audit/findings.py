"""The kinds of findings of an audit, with advice."""

from __future__ import annotations

from dataclasses import dataclass

from face128.domain.members import RegNo

ADVICE = {
    "invalid_member": "Give every member a regNo, a number or a string.",
    "invalid_descriptor": "Encode this member's photo again.",
    "all_zero": "Encode this member's photo again: no network gives zeros.",
    "unknown_model": "Name a model that face128 knows, or encode the photos again.",
    "mixed_models": "Encode all members with one model: these descriptors cannot be compared.",
    "duplicate": "One photo is enrolled under two regNos: find out whose it is.",
    "too_near": "One may be let in as the other: look at both photos. Twins need another check at the door.",
    "too_far": "Look at this member's photos: is one of someone else, or of bad quality?",
    "not_enrolled": "Send a photo.",
    "origin": 'They may be compared; correct "model", so that it names the model that made them.',
}
INFORMATIONAL_KINDS = {"not_enrolled", "origin"}
"""Kinds that need no action of a person."""


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
