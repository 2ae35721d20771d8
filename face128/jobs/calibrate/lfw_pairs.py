"""Labelled pairs of photos in the format of Labeled Faces in the Wild (LFW)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from face128.errors import BadRequest


@dataclass(frozen=True)
class LabelledPair:
    first: Path
    second: Path
    same: bool
    """Whether both photos show one person."""


def read_pairs(listing: Path, images: Path) -> list[LabelledPair]:
    """Read LFW's pairs.txt or pairsDevTest.txt; photos are ``images/Name/Name_0001.jpg``.

    After a line with counts, ``Name 1 2`` is a pair of one person, ``Name 1 Other 2`` one of two people, separated by
    tabs. Raises BadRequest, naming the line, for anything else.
    """
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadRequest("The list of pairs cannot be read.") from None
    pairs = list(_parse(lines, images))
    if not ({True, False} <= {pair.same for pair in pairs}):
        raise BadRequest("The list needs pairs of one person and pairs of two people, in the format of LFW.")
    return pairs


def _parse(lines: list[str], images: Path) -> Iterator[LabelledPair]:
    for number, line in enumerate(lines, start=1):
        match line.split("\t"):
            case [name, first, second] if first.isdecimal() and second.isdecimal():
                yield LabelledPair(_photo(images, name, first), _photo(images, name, second), same=True)
            case [name, first, other, second] if first.isdecimal() and second.isdecimal():
                yield LabelledPair(_photo(images, name, first), _photo(images, other, second), same=False)
            case counts if number == 1 and all(count.strip().isdecimal() for count in counts):
                pass
            case _ if line.strip():
                raise BadRequest(f"Line {number} of the list is no pair in the format of LFW.")


def _photo(images: Path, name: str, number: str) -> Path:
    return images / name / f"{name}_{int(number):04}.jpg"
