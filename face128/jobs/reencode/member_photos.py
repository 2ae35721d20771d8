"""Reads the members and their photos from a folder, or from a list in CSV, TSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from face128.domain.members import RegNo
from face128.errors import BadRequest, InvalidRequest
from face128.jobs.files import read_file
from face128.jobs.reencode.listing import MemberPhoto, PhotoListing, RejectedEntry, clean_name, is_text
from face128.jobs.reencode.member_rows import list_rows, require_columns

DEFAULT_PATTERN = re.compile(r"(?P<regNo>(?=[^_/]*\d)[^_/\s]+)(_(?P<name>[^/]+))?(/.*)?")
"""``1029_Vicky T.jpg``, ``1029.jpg``, ``1029/anything.jpg``, ``1029_Vicky T/anything.jpg``; a regNo has a digit."""
TABLE_SUFFIXES = (".csv", ".tsv")


def read_members(
    source: Path,
    pattern: str | None = None,
    own_files: Collection[Path] = (),
    columns: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> PhotoListing:
    """Read a folder, or a list with the columns regNo, name, photo: ``.csv``, ``.tsv``, or JSON, a list of objects.

    In folders, CSV and TSV, a regNo of digits without a leading zero becomes a number (1029), any other stays a string;
    in JSON it keeps its type. In a JSON list ``photos`` may hold several. ``columns`` is what the columns of a list are
    called, if not as usual, and ``folder`` where its relative paths begin, if not at the list. ``pattern`` is how files
    of a folder are named, such as ``{name}/{regNo}-*``. ``own_files`` were written by an earlier run, and are passed
    over. Files and rows that cannot be used are in ``rejected``; raises BadRequest if the whole source cannot be.
    """
    if source.is_dir():
        if columns or folder:
            raise BadRequest("--columns and --photos are for lists and queries, not for a folder of photos.")
        return _from_folder(source, _compile_pattern(pattern) if pattern else DEFAULT_PATTERN, own_files)
    if pattern:
        raise BadRequest("--pattern is for the file names of a folder; a list names each photo's member.")
    data, named = read_file(source), columns or {}
    try:
        text = data.decode("utf-8-sig")
        rows = list(_table_rows(text, named)) if source.suffix.lower() in TABLE_SUFFIXES else json.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadRequest(f"Line {line} of {source.name} has bytes that are not UTF-8.") from None
    except (ValueError, RecursionError, csv.Error):
        raise BadRequest(f"{source.name} is neither a folder, nor a list in CSV, TSV or JSON in UTF-8.") from None
    if not isinstance(rows, list):
        raise BadRequest("The JSON is a list of members: [{regNo, name, photo}, ...].")
    return list_rows(rows, named, folder or source.parent)


def _from_folder(folder: Path, pattern: re.Pattern[str], own_files: Collection[Path]) -> PhotoListing:
    photos, rejected = [], []
    own_names, own_paths = {path.name for path in own_files}, {path.resolve() for path in own_files}
    files = (path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.relative_to(folder).parts):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if path.name in own_names and path.resolve() in own_paths:
            continue
        match = pattern.fullmatch(relative.with_suffix("").as_posix())
        if match is None or not is_text(relative.as_posix()):
            error = "The file name has no regNo (--pattern says where it is), or is not in UTF-8."
            rejected.append(RejectedEntry(None, None, relative.as_posix(), InvalidRequest.code, error))
            continue
        fields = match.groupdict()
        reg_no, name = _parse_reg_no(fields["regNo"]), clean_name(fields.get("name"))
        photos.append(MemberPhoto(reg_no, name, relative.as_posix(), str(path)))
    return PhotoListing(photos, rejected)


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    if pattern.count("{regNo}") != 1 or pattern.count("{name}") > 1:
        raise BadRequest("A pattern has {regNo} once and {name} at most once, such as {name}/{regNo}-*.")
    expression = re.escape(pattern).replace(r"\*", "[^/]*")
    for field in ("regNo", "name"):
        expression = expression.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>[^/]+?)")
    return re.compile(expression)


def _table_rows(text: str, named: Mapping[str, str]) -> Iterator[dict[Any, Any]]:
    header = text.partition("\n")[0]
    # Excel writes semicolons in countries with a decimal comma.
    delimiter = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    reg_no = require_columns(rows.fieldnames or [], named)["regNo"]
    for row in rows:
        yield row | {reg_no: _parse_reg_no(row[reg_no] or "")}


def _parse_reg_no(text: str) -> RegNo:
    text = unicodedata.normalize("NFC", text.strip())
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,14}", text) else text
