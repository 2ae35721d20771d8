"""What an audit can find, in the order in which it is mended, and what to do about each kind."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from face128.domain.members import RegNo


@dataclass(frozen=True)
class Kind:
    title: str
    """What is wrong, about several."""
    advice: str
    commands: tuple[str, ...] = ("face128 reencode PHOTOS --out {file}",)
    """What then makes the list right, each alone; ``{file}`` is the list, words in capitals are the operator's."""
    needs_person: bool = True


_ERASE_OR_ENCODE = ("face128 gallery erase NUMBER", "face128 reencode PHOTOS --out {file}")

KINDS = {
    "duplicate": Kind(
        "one photo is enrolled under two numbers",
        "Find out whose photo it is. Erase it in the gallery, or take it from the other's photos and encode again.",
        _ERASE_OR_ENCODE,
    ),
    "too_near": Kind(
        "two numbers that are as near as one person's photos: one person twice, or two who are let in as each other",
        "Look at both photos. One person: keep one number, erase the other in the gallery or take its photos away and "
        "encode again. Two people, such as twins: they need another check at the door.",
        _ERASE_OR_ENCODE,
    ),
    "perhaps_one_person": Kind(
        "two numbers that look like one person",
        "Look at both photos. One person: keep one number, erase the other in the gallery or take its photos away and "
        "encode again. Two people: nothing to do.",
        _ERASE_OR_ENCODE,
    ),
    "inconsistent_person": Kind(
        "photos that are not the member's own",
        "Take these photos out of the member's photos, or enrol the right ones.",
    ),
    "too_far": Kind(
        "a member's own photos differ more than the threshold allows",
        "Look at this member's photos: is one of someone else, or of bad quality?",
    ),
    "invalid_member": Kind("members without a number", "Give every member a number (regNo)."),
    "invalid_descriptor": Kind("descriptors that cannot be read", "Encode this member's photo again."),
    "all_zero": Kind("descriptors that are all zeros", "Encode this member's photo again: no network gives zeros."),
    "unknown_model": Kind("descriptors of a model that is not known", "Encode the photos again."),
    "mixed_models": Kind("descriptors that cannot be compared", "Encode all members with one model."),
    "not_enrolled": Kind("members without a descriptor", "Ask for a photo.", needs_person=False),
    "poor_photo": Kind("photos of poor quality", "Ask for a new photo.", needs_person=False),
    "origin": Kind(
        "numbers that look like another model's than the one that is named",
        'They may be compared. Correct "model" in the list, or encode the photos again.',
        needs_person=False,
    ),
}
"""By name. The first spoil the estimates; the last need no action of a person."""

SPOILING_KINDS = ("duplicate", "too_near", "perhaps_one_person")
"""Findings of one person under two numbers, who counts as a stranger near to a member."""


@dataclass(frozen=True)
class Finding:
    """One defect of one member or of several."""

    kind: str
    members: tuple[RegNo | None, ...]
    detail: str
    distance: float | None = None
    photos: tuple[str, ...] = ()
    """The places of the photos that it is about, where it is not about all of the member's."""

    @property
    def needs_person(self) -> bool:
        return KINDS[self.kind].needs_person


def commands(kind: str, file: Path) -> list[str]:
    return [command.format(file=shlex.quote(str(file))) for command in KINDS[kind].commands]
