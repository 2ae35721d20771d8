"""What an audit may find, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from face128.domain.members import RegNo

ADVICE = {
    "invalid_member": "Give every member a regNo, a number or a string.",
    "invalid_descriptor": "Encode this member's photo again.",
    "all_zero": "Encode this member's photo again: no network makes zeros.",
    "unknown_model": "Name a model that face128 knows, or encode the photos again.",
    "mixed_models": "Encode everybody with one model: these can never meet.",
    "duplicate": "One photo stands under two regNos: find out whose it is.",
    "too_near": "One of them may be let in as the other: look at both photos. Twins need another check at the door.",
    "too_far": "Look at this member's photos: is one of them someone else, or a bad photo?",
    "not_enrolled": "Send a photo.",
    "origin": 'They may be compared; name the model that made them ("model"), so that everybody knows.',
}
INFORMATION = {"not_enrolled", "origin"}
"""Kinds that are good to know, and need nobody."""


@dataclass(frozen=True)
class Finding:
    """One thing about one member, or about a few."""

    kind: str
    members: tuple[RegNo | None, ...]
    detail: str
    distance: float | None = None

    @property
    def needs_person(self) -> bool:
        return self.kind not in INFORMATION
