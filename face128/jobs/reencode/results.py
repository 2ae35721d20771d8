"""What a re-encoding writes: the members as a body of /match, and a CSV of the photos that failed."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

from face128.domain.descriptors import from_base64
from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard
from face128.errors import ConfigurationError
from face128.jobs.execution.photo_task import PhotoResult
from face128.jobs.reencode.member_photos import MemberPhoto, PhotoListing

ADVICE = {
    "no_face": "Send a photo in which the face is seen from the front, sharp, well lit and at least 40 pixels wide.",
    "multiple_faces": "Crop the photo to one person, or run with --faces largest if the member is the largest face.",
    "head_tilted": "Turn the photo until the head is upright, or send another; FACE128_MAX_ROLL is the bound.",
    "bad_image": "The file is empty or damaged: copy it again from its source, or take a new photo.",
    "unsupported_format": "Save the photo as JPEG or PNG.",
    "too_large": "Shrink the photo, or raise FACE128_MAX_IMAGE_BYTES or FACE128_MAX_IMAGE_PIXELS.",
    "not_found": "Correct the list, or put the photo at this path.",
    "bad_request": "Give this user the right to read the file, or copy it again.",
    "invalid_request": "Rename the file to regNo_name.jpg, or describe the file names with --pattern.",
    "too_many_images": "The service keeps four photos of a member: this one was not sent.",
    "duplicate": "The face is another member's: find out whose it is, then enrol it with ?force=true if it is right.",
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

    def to_json(self) -> dict[str, Any]:
        """The member in the body of /match; ``descriptor`` is null if every photo failed: not enrolled yet."""
        vectors = [from_base64(text).tolist() for text in self.descriptors]
        value = {"descriptors": vectors} if len(vectors) > 1 else {"descriptor": vectors[0] if vectors else None}
        return {"regNo": self.reg_no, "name": self.name, **value}


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
    """The members in the order of their first photo, and every photo that failed."""
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
    code, error = "invalid_request", "The file name has no regNo."
    failures += [PhotoFailure(None, None, photo, code, error, ADVICE[code]) for photo in listing.unnamed_files]
    return list(members.values()), failures


def write_enrolled(path: Path, members: list[EncodedMember], card: ModelCard) -> None:
    """Write the members as a body of /match without a probe: one per line, every number in full precision."""
    head = f'{{"model": {json.dumps(card.name)}, "pipeline": {json.dumps(card.pipeline)}, "enrolled": [\n'
    _write(path, head + ",\n".join(json.dumps(member.to_json(), ensure_ascii=False) for member in members) + "\n]}\n")


def write_failures(path: Path, failures: list[PhotoFailure]) -> None:
    """Write a CSV with a byte order mark, for spreadsheets: regNo, name, photo, code, error, advice."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.name for column in fields(PhotoFailure))
    writer.writerows(astuple(failure) for failure in failures)
    _write(path, "\ufeff" + text.getvalue())


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole: a full disk leaves the old file as it was."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be written: {error.strerror}. Run again to go on.") from None
