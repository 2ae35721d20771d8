"""The lines of ``face128 gallery list``: a face as JSON, or as a row for a spreadsheet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from face128.gallery.rows.records import Record

CSV_COLUMNS = (
    *("regNo", "name", "id", "model", "created_at", "quality", "reasons", "adjusted", "metadata"),
    *("expires_at", "consent", "last_seen"),
)
"""Later versions may add columns at the end."""


def json_line(record: Record) -> dict[str, Any]:
    line: dict[str, Any] = {"regNo": record.person.reg_no, "name": record.person.name, "id": record.id}
    line |= {"model": record.model}
    line |= {"companions": list(record.companions)} if record.companions else {}
    line |= {"created_at": record.created_at.isoformat(timespec="seconds")}
    return line | record.photo_facts | record.terms.to_json() | {"metadata": record.metadata}


def csv_row(record: Record) -> list[object]:
    """The values of CSV_COLUMNS."""
    quality = record.photo_facts.get("quality", {})
    adjusted, metadata = record.photo_facts.get("adjusted", {}), record.metadata
    return [
        record.person.reg_no,
        record.person.name or "",
        record.id,
        record.model,
        record.created_at.isoformat(sep=" ", timespec="seconds"),
        quality.get("verdict", ""),
        " ".join(quality.get("reasons", [])),
        " ".join(adjusted),
        json.dumps(metadata, ensure_ascii=False) if metadata else "",
        *(record.terms.to_json().get(name, "") for name in ("expires_at", "consent", "last_seen")),
    ]
