"""Reads a file of members where the body of /match is taken: JSON, or what a spreadsheet has saved as CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from face128.errors import BadRequest
from face128.jobs.audit.member_documents import read_documents
from face128.jobs.files import read_file


def as_json_document(data: bytes, source: Path) -> bytes:
    """A file of members as JSON: unchanged, unless it is a table or has a JSON object on each line."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":  # damaged JSON: its own error says where
            return data
        members, model = read_documents(data, source)
        return json.dumps({"enrolled": members, "model": model}).encode()
    return data


def read_members_file(path: Path) -> dict[str, Any]:
    """A body of /match with the members in ``enrolled``. Raises BadRequest that names the file."""
    try:
        document = json.loads(as_json_document(read_file(path), path))
    except (ValueError, RecursionError):
        raise BadRequest(f"{path} is not valid JSON.") from None
    if isinstance(document, list):
        return {"enrolled": document}
    if not isinstance(document, dict) or "enrolled" not in document:
        raise BadRequest(f"{path} is no list of members, and no object with that list in enrolled.")
    return document
