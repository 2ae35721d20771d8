"""The report of an import on faces that two people share, as a table for a spreadsheet or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from face128.jobs.files import replacing
from face128.jobs.spreadsheet import write_rows
from face128.terminal.speech import ERR, plural

if TYPE_CHECKING:
    from face128.gallery.transfer.import_labels import DuplicatePair

ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Where all pairs of people with one face are listed: CSV, or .json."),
]

COLUMNS = ("regNo", "name", "other_regNo", "other_name", "other_id", "distance", "model")
"""Later versions may add columns at the end."""


def write_duplicates(path: Path, pairs: Iterator[DuplicatePair]) -> None:
    """Write all pairs. Raises BadRequest if the file cannot be written."""
    count = 0

    def counted() -> Iterator[tuple[Any, ...]]:
        nonlocal count
        for pair in pairs:
            count += 1
            one, other = pair.people
            yield one.reg_no, one.name, other.reg_no, other.name, pair.stored_id, pair.distance, pair.model

    with replacing(path) as file:
        if path.suffix.lower() == ".json":
            separator = "["
            for row in counted():
                line = json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False)
                file.write(f"{separator}\n{line}")
                separator = ","
            file.write("[]\n" if not count else "\n]\n")
        else:
            write_rows(file, COLUMNS, (["" if value is None else value for value in row] for row in counted()))
    ERR.say(f"{plural(count, 'pair')} of people with one face: {path}")
