"""The rows of a list or of a query, whatever their columns are called."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from face128.domain.members import RegNo
from face128.errors import BadRequest, InvalidRequest, NotFound
from face128.jobs.reencode.listing import MemberPhoto, PhotoListing, RejectedEntry, clean_name, is_text

USUAL_COLUMNS = {
    "regNo": ("regno", "regnumber", "registrationnumber", "memberid", "memberno", "membernumber", "userid", "id"),
    "name": ("name", "fullname", "displayname", "membername"),
    "photo": ("photo", "photos", "photopath", "photourl", "image", "imagepath", "imageurl", "picture", "file", "path"),
}
"""In lower case, without spaces and punctuation; of several the first counts."""


def parse_columns(text: str | None) -> dict[str, str]:
    """``regNo=reg_no,photo=photo_path``: the column of each field. Raises BadRequest."""
    pairs = [pair.partition("=")[::2] for pair in text.split(",")] if text else []
    columns = {field.strip(): column.strip() for field, column in pairs}
    if not (columns.keys() <= USUAL_COLUMNS.keys() and all(columns.values())):
        raise BadRequest("--columns names the columns of regNo, name and photo: regNo=reg_no,photo=photo_path")
    return columns


def find_columns(header: Iterable[object], named: Mapping[str, str]) -> dict[str, str]:
    """The column of each field that has one: the one in ``named``, else the first that has a usual name."""
    columns = [column for column in header if isinstance(column, str)]
    folded = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(columns)}
    found = {}
    for field, usual in USUAL_COLUMNS.items():
        candidates = [named[field]] if field in named else [folded[name] for name in usual if name in folded]
        if candidates and candidates[0] in columns:
            found[field] = candidates[0]
    return found


def require_columns(header: Iterable[object], named: Mapping[str, str]) -> dict[str, str]:
    """As ``find_columns``. Raises BadRequest if regNo or photo has none, or one of ``named`` does not exist."""
    names = [str(column) for column in header]
    found = find_columns(names, named)
    for field in ("regNo", "photo", *named):
        if field not in found:
            example = f"--columns {field}=COLUMN"
            raise BadRequest(f"There is no column for {field}. Name it with {example}. There are: {', '.join(names)}.")
    return found


def list_rows(
    rows: Iterable[object], named: Mapping[str, str], folder: Path, keep: Callable[[bytes], Path] | None = None
) -> PhotoListing:
    """The photos of rows. A row without a regNo or a photo is rejected alone. ``folder`` is of relative paths.

    ``keep`` gives a photo that a row holds itself its file.
    """
    photos, rejected = [], []
    for number, row in enumerate(rows, start=1):
        fields = row if isinstance(row, dict) else {}
        columns = find_columns(fields, named)
        reg_no, name, value = (fields.get(columns.get(field)) for field in USUAL_COLUMNS)
        for photo in (value if isinstance(value, list) else [value]) or [None]:
            place = f"row {number}"
            held = bytes(photo) if keep and isinstance(photo, bytes | bytearray | memoryview) else None
            text = photo if held is None else place if held else ""
            entry = _photo_or_rejected(_reg_no(reg_no), clean_name(name), text, place, folder)
            if isinstance(entry, RejectedEntry):
                rejected.append(entry)
            elif keep and held:
                path = keep(held)
                photos.append(replace(entry, photo=path.name, source=str(path)))
            else:
                photos.append(entry)
    return PhotoListing(photos, rejected)


def _photo_or_rejected(
    reg_no: RegNo | None, name: str | None, photo: Any, place: str, folder: Path
) -> MemberPhoto | RejectedEntry:
    valid_name = name if name is None or is_text(name) else None
    valid_photo = photo if isinstance(photo, str) and photo.strip() and is_text(photo) else ""
    code = InvalidRequest.code
    if valid_name != name:
        error = f"The name in {place} is not valid Unicode."
    elif reg_no is None:
        error = f"The regNo in {place} is missing, or neither a whole number nor text."
    elif photo is None or (isinstance(photo, str) and not photo.strip()):
        code, error = NotFound.code, f"There is no photo in {place}."
    elif not valid_photo:
        error = f"The photo in {place} is neither a path nor a URL."
    else:
        return MemberPhoto(reg_no, name, photo, photo if "://" in photo else str(folder / photo))
    return RejectedEntry(reg_no, valid_name, valid_photo, code, error)


def _reg_no(value: Any) -> RegNo | None:
    """As JSON and databases have it; None if it cannot be a regNo."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    valid = type(value) is int or (isinstance(value, str) and value.strip() and is_text(value))
    return value if valid else None
