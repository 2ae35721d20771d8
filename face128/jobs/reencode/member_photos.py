"""Reads the members and their photos from a folder, or from a list in CSV or JSON."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face128.domain.members import RegNo
from face128.errors import BadRequest

DEFAULT_PATTERN = re.compile(r"(?P<regNo>(?=[^_/]*\d)[^_/\s]+)(_(?P<name>[^/]+))?(/.*)?")
"""``1029_Vicky T.jpg``, ``1029.jpg``, ``1029/anything.jpg``, ``1029_Vicky T/anything.jpg``; a regNo has a digit."""


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
class PhotoListing:
    photos: list[MemberPhoto]
    unnamed_files: list[str]
    """Files of the folder whose names do not match the pattern."""


def read_members(source: Path, pattern: str | None = None) -> PhotoListing:
    """Read a folder, a ``.csv`` with the columns regNo, name, photo, or a ``.json`` list of objects with these fields.

    In folders and CSV, a regNo of digits without a leading zero becomes a number (1029), any other stays a string; in
    JSON it keeps its type. In a JSON list ``photos`` may hold several. Relative paths are relative to the list.
    ``pattern`` is how files of a folder are named, such as ``{name}/{regNo}-*``. Raises BadRequest, naming the row, for
    anything else.
    """
    if source.is_dir():
        return _from_folder(source, _compile_pattern(pattern) if pattern else DEFAULT_PATTERN)
    if pattern:
        raise BadRequest("--pattern is for the file names of a folder; a list names each photo's member.")
    try:
        text = source.read_text(encoding="utf-8-sig")
        rows = list(_csv_rows(text)) if source.suffix.lower() == ".csv" else json.loads(text)
    except (OSError, ValueError, RecursionError):
        raise BadRequest(f"{source.name} is neither a folder, nor a CSV or JSON list in UTF-8.") from None
    if not isinstance(rows, list):
        raise BadRequest("The JSON is a list of members: [{regNo, name, photo}, ...].")
    return PhotoListing(list(_from_rows(rows, source.parent)), [])


def _from_folder(folder: Path, pattern: re.Pattern[str]) -> PhotoListing:
    photos, unnamed_files = [], []
    files = (path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.relative_to(folder).parts):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        match = pattern.fullmatch(relative.with_suffix("").as_posix())
        if match is None:
            unnamed_files.append(relative.as_posix())
            continue
        fields = match.groupdict()
        reg_no, name = _parse_reg_no(fields["regNo"]), _clean_name(fields.get("name"))
        photos.append(MemberPhoto(reg_no, name, relative.as_posix(), str(path)))
    return PhotoListing(photos, unnamed_files)


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    if pattern.count("{regNo}") != 1 or pattern.count("{name}") > 1:
        raise BadRequest("A pattern has {regNo} once and {name} at most once, such as {name}/{regNo}-*.")
    expression = re.escape(pattern).replace(r"\*", "[^/]*")
    for field in ("regNo", "name"):
        expression = expression.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>[^/]+?)")
    return re.compile(expression)


def _csv_rows(text: str) -> Iterator[Any]:
    header = text.partition("\n")[0]
    # Excel writes semicolons in countries with a decimal comma.
    delimiter = ";" if header.count(";") > header.count(",") else ","
    for row in csv.DictReader(text.splitlines(), delimiter=delimiter):
        yield row | {"regNo": _parse_reg_no(row.get("regNo") or "")}


def _from_rows(rows: list[Any], folder: Path) -> Iterator[MemberPhoto]:
    for number, row in enumerate(rows, start=1):
        fields = row if isinstance(row, dict) else {}
        reg_no, name = fields.get("regNo"), fields.get("name")
        photos = fields.get("photos", [fields.get("photo")])
        photos_valid = isinstance(photos, list) and all(isinstance(photo, str) for photo in photos)
        if reg_no in (None, "") or type(reg_no) not in (int, str) or not photos_valid:
            raise BadRequest(f"Member {number} of the list needs a regNo and a photo.")
        for photo in photos:
            source = photo if "://" in photo else str(folder / photo)
            yield MemberPhoto(reg_no, _clean_name(name), photo, source)


def _parse_reg_no(text: str) -> RegNo:
    text = unicodedata.normalize("NFC", text.strip())
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,14}", text) else text


def _clean_name(name: Any) -> str | None:
    # macOS decomposes accented letters in file names.
    return unicodedata.normalize("NFC", name.strip()) or None if isinstance(name, str) else None
