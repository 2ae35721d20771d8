"""Reads the members and their photos from a folder, or from a list in CSV, TSV or JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from face128.errors import BadRequest
from face128.jobs.files import read_file
from face128.jobs.reencode.folder_photos import read_folder
from face128.jobs.reencode.listing import PhotoListing, parse_reg_no
from face128.jobs.reencode.member_rows import list_rows, require_columns
from face128.jobs.spreadsheet import decode_text, read_rows

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
    of a folder are named, such as ``{name}/{regNo}-*``; without a regNo in it, the name is the regNo as well.
    ``own_files`` were written by an earlier run, and are passed over. Files and rows that cannot be used are in
    ``rejected``; raises BadRequest if the whole source cannot be.
    """
    if source.is_dir():
        if columns or folder:
            raise BadRequest(f"--columns and --photos are for lists and queries, and {source} is a folder of photos.")
        return read_folder(source, pattern, own_files)
    if pattern:
        raise BadRequest(f"--pattern is for the file names of a folder, and {source} is a list.")
    data, named = read_file(source), columns or {}
    try:
        text = decode_text(data)
        rows = list(_table_rows(text, named)) if source.suffix.lower() in TABLE_SUFFIXES else json.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadRequest(
            f"Line {line} of {source} has bytes that are not UTF-8. In a spreadsheet, save it as 'CSV UTF-8'."
        ) from None
    except (ValueError, RecursionError, csv.Error):
        raise BadRequest(f"{source} is neither a folder, nor a list in CSV, TSV or JSON in UTF-8.") from None
    except BadRequest as error:
        raise BadRequest(f"{source}: {error}") from None
    if not isinstance(rows, list):
        raise BadRequest(f"The JSON in {source} is no list of members: [{{regNo, name, photo}}, ...].")
    return list_rows(rows, named, folder or source.parent)


def _table_rows(text: str, named: Mapping[str, str]) -> Iterator[dict[Any, Any]]:
    rows = read_rows(text)
    reg_no = require_columns(rows.fieldnames or [], named)["regNo"]
    for row in rows:
        yield row | {reg_no: parse_reg_no(row[reg_no] or "")}
