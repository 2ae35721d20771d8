"""The members and their photos, as a folder, a list or a query names them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
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
