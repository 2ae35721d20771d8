"""What a re-encoding has: the members with their descriptors, the photos that failed, and the files beside --out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from face128.domain.members import RegNo
from face128.errors import BadRequest
from face128.jobs.execution.photo_task import PhotoResult
from face128.jobs.files import is_stream, replacing
from face128.jobs.photo_quality import PhotoQualities, PoorPhoto
from face128.jobs.reencode.listing import MemberPhoto, PhotoListing

ADVICE = {
    "no_face": "Send a photo in which the face is seen from the front, sharp, well lit and at least 40 pixels wide.",
    "multiple_faces": "Crop the photo to one person, or run with --faces largest or --faces best.",
    "poor_quality": "Send a better photo, as the error says; FACE128_MIN_QUALITY is the bound.",
    "head_tilted": "Turn the photo until the head is upright, or send another; FACE128_MAX_ROLL is the bound.",
    "bad_image": "The file is empty or damaged: copy it again from its source, or take a new photo.",
    "unsupported_format": "Save the photo as JPEG or PNG.",
    "too_large": "Shrink the photo, or raise FACE128_MAX_IMAGE_BYTES or FACE128_MAX_IMAGE_PIXELS.",
    "not_found": "Correct the row, or put the photo at this path.",
    "bad_request": "Give this user the right to read the file, or copy it again.",
    "invalid_request": "Rename the file to regNo_name.jpg, describe the file names with --pattern, or correct the row.",
    "too_many_images": "The service keeps four photos of a member: this one was not sent.",
    "duplicate": "The face is another member's: find out whose it is, then enrol it with ?force=true if it is right.",
    "inconsistent_person": "Look at this member's photos: is this one of somebody else? Take it out, or send another.",
    "out_of_memory": "Run again with more memory, or shrink the photo.",
    "crashed": "Open the photo in another program and save it anew.",
}


@dataclass
class EncodedMember:
    """A member with the photos that have a descriptor, in the order of the list."""

    reg_no: RegNo
    name: str | None
    photos: list[MemberPhoto] = field(default_factory=list)
    descriptors: list[str] = field(default_factory=list)
    """In base64, one for each of ``photos``."""
    photo_facts: list[dict[str, Any]] = field(default_factory=list)
    """As Encoding.photo_facts, one for each of ``photos``."""


class ResultFiles(NamedTuple):
    """The files that a re-encoding writes, beside each other."""

    enrolled: Path
    journal: Path
    failed: Path
    poor: Path
    """Photos that have a descriptor, and a poor quality."""
    posted: Path
    """Who is enrolled in the remote service."""
    written: Path
    """Whose descriptor is in the members' table."""

    @classmethod
    def beside(cls, out: Path) -> ResultFiles:
        suffixes = (".journal.jsonl", ".failed.csv", ".poor.csv", ".posted", ".written")
        return cls(out, *map(out.with_suffix, suffixes))


def check_out(out: Path, members: Path | None, first_bytes: bytes) -> None:
    """Raise BadRequest if a re-encoding of ``members`` cannot write ``out``, or would overwrite something else.

    A file may be replaced if it is empty, or begins with ``first_bytes``, as one of an earlier run.
    """
    if out.is_dir():
        raise BadRequest(f"--out is a folder. Name a file in it: {out / 'enrolled.json'}")
    if not out.parent.is_dir():
        raise BadRequest(f"The folder of --out does not exist: {out.parent}")
    if is_stream(out):
        raise BadRequest("--out is not a file: the journal is written beside it.")
    if out.suffix in (".posted", ".written"):
        raise BadRequest(f"--out may not end in {out.suffix}: another file of the job has this name.")
    if members and members.resolve() in {path.resolve() for path in ResultFiles.beside(out)}:
        raise BadRequest(f"{members} would be overwritten: name another file with --out.")
    if out.exists() and _beginning(out, len(first_bytes)) not in (b"", first_bytes):
        raise BadRequest(f"{out} holds something else than such members, and would be overwritten.")


def _beginning(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


@dataclass(frozen=True)
class PhotoFailure:
    """A photo without a descriptor. Its fields are the columns of the report."""

    regNo: RegNo | None
    name: str | None
    photo: str
    code: str
    error: str
    advice: str


def group_by_member(
    listing: PhotoListing, results: Mapping[str, PhotoResult]
) -> tuple[list[EncodedMember], list[PhotoFailure]]:
    """The members in the order of their first photo, then those without any; and everything that failed."""
    members: dict[tuple[type, RegNo], EncodedMember] = {}
    failures = []
    for item in listing.photos:
        # 1029 and "1029" are two members, as in JSON.
        member = members.setdefault((type(item.reg_no), item.reg_no), EncodedMember(item.reg_no, item.name))
        member.name = member.name or item.name
        result = results[item.photo]
        if result.descriptor is None:
            advice = ADVICE.get(result.code, "")
            failures.append(PhotoFailure(item.reg_no, item.name, item.photo, result.code, result.error, advice))
        else:
            member.photos.append(item)
            member.descriptors.append(result.descriptor)
            member.photo_facts.append(result.photo_facts)
    for entry in listing.rejected:
        if entry.reg_no is not None:
            key = type(entry.reg_no), entry.reg_no
            members.setdefault(key, EncodedMember(entry.reg_no, entry.name))
        advice = ADVICE[entry.code]
        failures.append(PhotoFailure(entry.reg_no, entry.name, entry.photo, entry.code, entry.error, advice))
    return list(members.values()), failures


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
    """With a byte order mark, for spreadsheets."""
    with replacing(path) as file:
        file.write("\ufeff")
        writer = csv.writer(file)
        writer.writerow(column.name for column in fields(kind))
        writer.writerows(astuple(row) for row in rows)
