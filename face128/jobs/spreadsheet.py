"""CSV that a spreadsheet opens as it is meant: it shows every script, and calculates nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import IO

BYTE_ORDER_MARK = "\ufeff"  # without it, spreadsheets take UTF-8 for an older encoding
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_rows(file: IO[str], headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write the headings, and each row as it comes. What a spreadsheet would calculate gets an apostrophe in front."""
    file.write(BYTE_ORDER_MARK)
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows([inert(value) for value in row] for row in rows)


def inert(value: object) -> object:
    """The value of a cell; text that begins like a formula is preceded by an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
