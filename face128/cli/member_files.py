"""Reads a file of members where the body of /match is taken: JSON, or what a spreadsheet has saved as CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from face128.errors import BadRequest
from face128.jobs.audit.member_documents import read_documents
from face128.jobs.files import open_file, read_file

START_BYTES = 4096  # enough to tell JSON from a table


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


@contextmanager
def open_members(path: Path) -> Iterator[BinaryIO]:
    """A file of members for gallery/transfer/member_file.py: JSON as it is, a table as JSON. Raises BadRequest."""
    from face128.gallery.transfer.member_file import is_json

    with open_file(path) as file:
        start = file.read(START_BYTES)
        file.seek(0)
        yield file if is_json(start) else BytesIO(as_json_document(file.read(), path))


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
