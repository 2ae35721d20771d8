"""Finds statements of the package that read or change people's rows, and do not say of which collection."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from paths import ROOT

_NAMES = "faces|companions|people|decisions|reviews|thumbnails"
TABLES = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE)\s+\"?({_NAMES})\b", re.IGNORECASE)
CONDITION = re.compile(r"\b(?:WHERE|INTO)\b.*\bcollection\b", re.IGNORECASE | re.DOTALL)
PACKAGE = str(ROOT / "face128")
OVER_ALL = ("all_collections.py", "migrations", "schema.py")
"""Where statements over all collections may stand: each says why."""


@contextmanager
def watched_statements() -> Iterator[list[str]]:
    """The offending statements that SQLite executes for the package in this block, with the place of each."""
    found: list[str] = []

    def watch(statement: str) -> None:
        table = TABLES.search(statement)
        if table and not CONDITION.search(statement) and (place := _place()) is not None:
            found.append(f"{place}: {statement[:200]}")

    def connected(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(watch)

    sa.event.listen(sa.Engine, "connect", connected)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "connect", connected)


def _place() -> str | None:
    """Where the package executes it; None for the tests' own statements, and those over all collections."""
    frame = sys._getframe(2)
    places = []
    while frame is not None and len(places) < 60:
        places.append(frame.f_code.co_filename)
        frame = frame.f_back  # type: ignore[assignment]
    if any(allowed in place for place in places for allowed in OVER_ALL):
        return None
    own = next((place for place in places if "site-packages" not in place and "/support/" not in place), "")
    return own if own.startswith(PACKAGE) else None
