"""Checks of ``face128 init``: are there photos, and do their names or the table's columns give the members' numbers?"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from face128.domain.members import RegNo
from face128.errors import BadRequest
from face128.jobs.reencode.listing import PhotoListing
from face128.jobs.reencode.member_photos import TABLE_SUFFIXES, read_members
from face128.jobs.reencode.member_rows import parse_columns
from face128.terminal.speech import plural

USUAL_NAMES = "{regNo}_{name}"  # also {regNo}/anything, {regNo}_{name}/anything and {regNo} alone
PATTERNS = (
    USUAL_NAMES,
    "{regNo} - {name}",
    "{regNo}-{name}",
    "{regNo} {name}",
    "{name}_{regNo}",
    "{name} - {regNo}",
    "{name}-{regNo}",
    "{name} {regNo}",
    "{name}/{regNo}",
    "{name} ({regNo})",
)
MIN_SHARE_WITH_NUMBER = 0.5


@dataclass(frozen=True)
class MemberSource:
    """A folder of photos, or a table that names them."""

    path: Path

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    def guess_numbers(self) -> str:
        """The pattern of file names that gives most photos a number; for a table, nothing: its headings are usual."""
        if not self.is_folder:
            return ""
        return max(PATTERNS, key=lambda pattern: _count_numbered(self.read(pattern)))

    def read(self, numbers: str) -> PhotoListing:
        """``numbers``: a pattern of file names, or the columns of a table. Raises BadRequest if they do not fit."""
        if self.is_folder:
            return read_members(self.path, None if numbers in ("", USUAL_NAMES) else numbers)
        return read_members(self.path, columns=parse_columns(numbers))

    def reencode_command(self, numbers: str, out: str) -> str:
        words = ["face128", "reencode", str(self.path)]
        if self.is_folder and numbers not in ("", USUAL_NAMES):
            words += ["--pattern", numbers]
        elif not self.is_folder and numbers:
            words += ["--columns", numbers]
        return shlex.join([*words, "--out", out])


def check_source(answer: str) -> MemberSource | None:
    """None for an empty answer. Raises BadRequest if this is neither a folder with files nor a table."""
    if not answer:
        return None
    path = Path(answer.strip("'\"")).expanduser()  # quotes as a terminal adds them to a dragged folder
    if not path.exists():
        raise BadRequest(f"{path} does not exist.")
    if not path.is_dir():
        if path.suffix.lower() not in (*TABLE_SUFFIXES, ".json"):
            raise BadRequest(f"{path} is neither a folder nor a table: .csv, .tsv or .json.")
    elif not any(file.is_file() for file in path.rglob("*")):
        raise BadRequest(f"{path} has no photos in it.")
    return MemberSource(path)


def check_numbers(source: MemberSource, answer: str) -> tuple[str, str]:
    """The pattern or the columns, and a sentence about what they give. Raises BadRequest if that is not plausible."""
    listing = source.read(answer)
    photo_count, without = len(listing.photos), len(listing.rejected)
    numbered = _count_numbered(listing)
    if not photo_count:
        raise BadRequest(f"None of {plural(without, 'photo')} gets a number. {_example(source)}")
    if numbered < MIN_SHARE_WITH_NUMBER * (photo_count + without):
        odd = next((str(p.reg_no) for p in listing.photos if not _looks_like_number(p.reg_no)), "")
        because = f"{odd!r} does not look like a number" if odd else f"{without:,} have no number"
        raise BadRequest(f"Of {plural(photo_count + without, 'photo')} {because}. {_example(source)}")
    first = listing.photos[0]
    members = len({(type(photo.reg_no), photo.reg_no) for photo in listing.photos})
    sentence = f"{plural(photo_count, 'photo')} of {plural(members, 'member')}; {first.photo} is number {first.reg_no}"
    sentence += f", {first.name}." if first.name else "."
    if without:
        entry = listing.rejected[0]
        sentence += f" {plural(without, 'file or row', 'files or rows')} without a number"
        sentence += f", such as {entry.photo}." if entry.photo else "."
    if not source.is_folder and not Path(first.source).exists() and "://" not in first.source:
        raise BadRequest(f"The table's first photo is not there: {first.source}")
    return answer, sentence


def _example(source: MemberSource) -> str:
    if source.is_folder:
        return "For a file named 'Vicky T - 1029.jpg' the answer would be: {name} - {regNo}"
    return "Name the columns like this: regNo=Member,name=Full name,photo=Picture"


def _count_numbered(listing: PhotoListing) -> int:
    return sum(_looks_like_number(photo.reg_no) for photo in listing.photos)


def _looks_like_number(reg_no: RegNo) -> bool:
    return not isinstance(reg_no, str) or any(character.isdigit() for character in reg_no)
