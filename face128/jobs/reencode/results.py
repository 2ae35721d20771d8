"""What a re-encoding has: the members with their descriptors, the photos that failed, and the counts of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard
from face128.jobs.execution.photo_task import PhotoResult
from face128.jobs.files import replacing
from face128.jobs.photo_quality import PhotoQualities, PoorPhoto
from face128.jobs.reencode.advice import ADVICE, in_commands
from face128.jobs.reencode.listing import MemberPhoto, PhotoListing
from face128.jobs.spreadsheet import write_rows


@dataclass
class EncodedMember:
    """A member with the photos that have a descriptor, in the order of the list."""

    reg_no: RegNo
    name: str | None
    photos: list[MemberPhoto] = field(default_factory=list)
    descriptors: list[dict[str, str]] = field(default_factory=list)
    """By the model's name, in base64; one for each of ``photos``."""
    photo_facts: list[dict[str, Any]] = field(default_factory=list)
    """As Encoding.photo_facts, one for each of ``photos``."""

    def of_model(self, model: str) -> list[str]:
        return [each[model] for each in self.descriptors if model in each]


@dataclass(frozen=True)
class PhotoFailure:
    """A photo without a descriptor. Its fields are the columns of the report."""

    regNo: RegNo | None
    name: str | None
    photo: str
    code: str
    error: str
    advice: str


@dataclass(frozen=True)
class Counts:
    """Of the photos that a folder or a list names: all are described now, from before, failed or misnamed."""

    described_now: int
    from_before: int
    failed: int
    misnamed: int

    @property
    def photos(self) -> int:
        return self.described_now + self.from_before + self.failed + self.misnamed


def group_by_member(
    listing: PhotoListing, cards: Sequence[ModelCard], results: Sequence[Mapping[str, PhotoResult]]
) -> tuple[list[EncodedMember], list[PhotoFailure]]:
    """The members in the order of their first photo, then those without any; and everything that failed.

    ``results``: of each of ``cards``. A photo counts as described if one of the models has described it.
    """
    members: dict[tuple[type, RegNo], EncodedMember] = {}
    failures = []
    for item in listing.photos:
        # 1029 and "1029" are two members, as in JSON.
        member = members.setdefault((type(item.reg_no), item.reg_no), EncodedMember(item.reg_no, item.name))
        member.name = member.name or item.name
        found = {card.name: of_model[item.photo] for card, of_model in zip(cards, results, strict=True)}
        described = {model: each.descriptor for model, each in found.items() if each.descriptor is not None}
        if described:
            member.photos.append(item)
            member.descriptors.append(described)
            member.photo_facts.append(next((each.photo_facts for each in found.values() if each.photo_facts), {}))
        else:
            first = next(iter(found.values()))
            error, advice = in_commands(first.code, first.error), ADVICE.get(first.code, "")
            failures.append(PhotoFailure(item.reg_no, item.name, item.photo, first.code, error, advice))
    for entry in listing.rejected:
        if entry.reg_no is not None:
            key = type(entry.reg_no), entry.reg_no
            members.setdefault(key, EncodedMember(entry.reg_no, entry.name))
        advice = ADVICE[entry.code]
        failures.append(PhotoFailure(entry.reg_no, entry.name, entry.photo, entry.code, entry.error, advice))
    return list(members.values()), failures


def count_photos(
    members: Iterable[EncodedMember], failures: Sequence[PhotoFailure], encoded_now: Collection[str]
) -> Counts:
    """``failures``: as ``group_by_member`` gives them. ``encoded_now``: the photos that this run has looked at."""
    described = [photo.photo in encoded_now for member in members for photo in member.photos]
    misnamed = sum(failure.regNo is None for failure in failures)
    return Counts(sum(described), described.count(False), len(failures) - misnamed, misnamed)


def photo_qualities(members: Iterable[EncodedMember]) -> PhotoQualities:
    qualities = PhotoQualities()
    for member in members:
        for photo, facts in zip(member.photos, member.photo_facts, strict=True):
            qualities.add(member.reg_no, member.name, photo.photo, facts)
    return qualities


def write_failures(path: Path, failures: list[PhotoFailure]) -> None:
    """Write a CSV of the photos without a descriptor: regNo, name, photo, code, error, advice."""
    _write_report(path, PhotoFailure, failures)


def write_poor_photos(path: Path, poor: list[PoorPhoto]) -> None:
    """Write a CSV of photos of poor quality: regNo, name, photo, reasons, advice."""
    _write_report(path, PoorPhoto, poor)


def _write_report(path: Path, kind: type[PhotoFailure | PoorPhoto], rows: Sequence[PhotoFailure | PoorPhoto]) -> None:
    with replacing(path) as file:
        write_rows(file, [column.name for column in fields(kind)], map(astuple, rows))
