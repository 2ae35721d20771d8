"""CSV as spreadsheets write it; and as they open it as it is meant: they show every script, and calculate nothing."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import IO

BYTE_ORDER_MARK = "\ufeff"  # without it, spreadsheets take UTF-8 for an older encoding
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*\n', re.IGNORECASE)
"""The first line of some tables, for Excel."""


def decode_text(data: bytes) -> str:
    """UTF-8, with a byte order mark or without; UTF-16 with one, which is Excel's "Unicode text".

    Raises UnicodeDecodeError.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def read_rows(text: str) -> csv.DictReader[str]:
    """The rows of a table with commas, semicolons or tabs. Raises csv.Error as they are read."""
    separator = _SEPARATOR_LINE.match(text)
    if separator:
        text = text[separator.end() :]
    header = text.partition("\n")[0]
    # Excel writes semicolons in countries with a decimal comma.
    delimiter = separator[1] if separator else max(",;\t", key=header.count)
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)


def write_rows(file: IO[str], headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write the headings, and each row as it comes. What a spreadsheet would calculate gets an apostrophe in front."""
    file.write(BYTE_ORDER_MARK)
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows([inert(value) for value in row] for row in rows)


def inert(value: object) -> object:
    """The value of a cell; text that begins like a formula is preceded by an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
