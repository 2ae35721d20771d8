"""Reads a file of members as plain values: JSON, JSON Lines or CSV, as reencode and the gallery write them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from face128.domain.model_card import DLIB
from face128.errors import BadRequest
from face128.jobs.reencode.listing import parse_reg_no
from face128.jobs.reencode.member_rows import find_columns
from face128.jobs.spreadsheet import decode_text, read_rows


def read_documents(data: bytes, source: Path | str = "The file") -> tuple[list[Any], Any]:
    """The members, which may be any JSON values, and the model of those that name none.

    Raises BadRequest, naming ``source``, if the file is none of these.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _lines(data, source) or _table(data, source), DLIB.name
    body = document if isinstance(document, dict) else {"enrolled": document}
    if "enrolled" not in body and "regNo" in body:  # a single line
        body = {"enrolled": [document]}
    if not isinstance(body.get("enrolled"), list):
        raise BadRequest(f'{source} is no list of members: [{{"regNo": ...}}, ...], or {{"enrolled": [...]}}.')
    model = body.get("model")
    return body["enrolled"], DLIB.name if model is None else model


def _lines(data: bytes, source: Path | str) -> list[Any]:
    """Of JSON Lines; nothing if the file does not begin like one."""
    lines = [(number, line) for number, line in enumerate(data.splitlines(), start=1) if line.strip()]
    if not (lines and lines[0][1].lstrip(b"\xef\xbb\xbf ").startswith(b"{") and _is_json(lines[0][1])):
        return []
    found = []
    for number, line in lines:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            raise BadRequest(f"Line {number} of {source} is not valid JSON.") from None
    if not all(isinstance(each, dict) and "regNo" in each for each in found):
        raise BadRequest(f'{source} has lines that are no members: {{"regNo": ..., "descriptors": ...}}.')
    return found


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _table(data: bytes, source: Path | str) -> list[Any]:
    """Of a CSV with the columns regNo, descriptor, and perhaps name and model: one row a photo."""
    try:
        rows = list(read_rows(decode_text(data)))
    except (UnicodeDecodeError, csv.Error):
        rows = []
    columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    reg_no = find_columns(columns.values(), {}).get("regNo")
    if reg_no is None or "descriptor" not in columns:
        raise BadRequest(f"{source} is no list of members in JSON, and no CSV with the columns regNo and descriptor.")

    def cell(row: dict[str, Any], name: str) -> str | None:
        value = row.get(columns.get(name, ""))
        return value.strip() or None if isinstance(value, str) else None

    return [
        {
            "regNo": parse_reg_no(row[reg_no] or "") if (row[reg_no] or "").strip() else None,
            "name": cell(row, "name"),
            "descriptor": _with_points(cell(row, "descriptor")),
            **({"model": model} if (model := cell(row, "model")) else {}),
        }
        for row in rows
    ]


def _with_points(descriptor: str | None) -> str | None:
    """A descriptor with decimal commas, ``-0,06; 0,01; ...``, as JSON; any other stays as it is."""
    if descriptor is None or ";" not in descriptor or "." in descriptor:
        return descriptor
    return f"[{descriptor.strip('[] ').replace(',', '.').replace(';', ',')}]"
