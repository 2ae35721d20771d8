"""The members and their photos, as a folder, a list or a query names them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from face128.domain.members import RegNo


@dataclass(frozen=True)
class MemberPhoto:
    """One photo of one member. A member may have several."""

    reg_no: RegNo
    name: str | None
    photo: str
    """Its name in the journal and in the report: as in the list, or relative to the folder."""
    source: str
    """A path, or a URL for fsspec."""


@dataclass(frozen=True)
class RejectedEntry:
    """A file or a row that names no member or no photo. It is reported, and does not stop the others."""

    reg_no: RegNo | None
    name: str | None
    photo: str
    code: str
    error: str


@dataclass(frozen=True)
class PhotoListing:
    photos: list[MemberPhoto]
    rejected: list[RejectedEntry]
    left_out: list[str] = field(default_factory=list)
    """Files of a folder that are no photos."""
    reg_no_column: str = ""
    """Of a query: its column with the regNo."""

    @property
    def member_names(self) -> set[str]:
        """The regNos of all members, as text."""
        numbers = [*(item.reg_no for item in self.photos), *(entry.reg_no for entry in self.rejected)]
        return {str(number) for number in numbers if number is not None}


def is_text(text: str) -> bool:
    """Whether this can be written in UTF-8: names of files in other encodings, and half surrogates in JSON, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean_name(name: Any) -> str | None:
    # macOS decomposes accented letters in file names.
    return unicodedata.normalize("NFC", name.strip()) or None if isinstance(name, str) else None


def parse_reg_no(text: str) -> RegNo:
    """Digits without a leading zero become a number, also as a spreadsheet may write it: 1029.0 or 1029,0."""
    text = unicodedata.normalize("NFC", text.strip())
    whole = re.fullmatch(r"(0|[1-9][0-9]{0,14})([.,]0{1,6})?", text)
    return int(whole[1]) if whole else text
