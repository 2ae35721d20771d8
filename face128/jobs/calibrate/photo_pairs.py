"""Pairs of labelled photos, all of a folder or those of a list, and their distances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric, distances
from face128.errors import BadRequest
from face128.jobs.audit.close_pairs import distance_matrix
from face128.jobs.files import read_file
from face128.jobs.spreadsheet import decode_text

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class LabelledPair:
    first: Path
    second: Path
    same: bool
    """Whether both photos show one person."""


@dataclass(frozen=True)
class PhotoPairs:
    """Every array has one element per pair, except ``people``."""

    photos: list[Path]
    people: Ints
    """(photos,) the index of the person on each photo."""
    first: Ints
    second: Ints
    """Indices of the photos of each pair."""
    distances: npt.NDArray[np.float32]
    genuine: npt.NDArray[np.bool_]
    """Whether both photos show one person."""

    @property
    def person_count(self) -> int:
        return int(self.people.max()) + 1


def pair_photos(
    descriptors: dict[Path, npt.NDArray[np.float32]], metric: Metric, listed: Sequence[LabelledPair] | None = None
) -> PhotoPairs:
    """All pairs of the photos, or those that are listed; a photo's folder is its person.

    Raises BadRequest unless there is a pair of each kind. Ten thousand photos, all paired, take 1 GB.
    """
    photos = list(descriptors)
    person_ids = {folder: i for i, folder in enumerate(sorted({photo.parent for photo in photos}))}
    people = np.array([person_ids[photo.parent] for photo in photos], np.int32)
    vectors = np.array(list(descriptors.values()), np.float64).reshape(len(photos), -1 if photos else 1)
    if listed is None:
        first, second = np.triu_indices(len(photos), 1)
        apart = distance_matrix(vectors, vectors, metric).astype(np.float32)[first, second]
    else:
        index = {photo: i for i, photo in enumerate(photos)}
        both = (pair for pair in listed if pair.first in index and pair.second in index)
        ids = [(index[pair.first], index[pair.second]) for pair in both]
        first, second = np.array(ids, np.intp).reshape(-1, 2).T
        apart = distances(vectors[first], vectors[second], metric).astype(np.float32)
    genuine = people[first] == people[second]
    if not genuine.any() or genuine.all():
        raise BadRequest(
            f"This needs photos of two people, and two of one of them, that show a face. {len(photos)} photos of "
            f"{len(person_ids)} people do. Put them into a folder for each person: PHOTOS/person/any.jpg."
        )
    return PhotoPairs(photos, people, first.astype(np.int32), second.astype(np.int32), apart, genuine)


def read_pairs(listing: Path, images: Path) -> list[LabelledPair]:
    """Read LFW's pairs.txt or pairsDevTest.txt; photos are ``images/Name/Name_0001.jpg``.

    After a line with counts, ``Name 1 2`` is a pair of one person, ``Name 1 Other 2`` one of two people, separated by
    tabs, or by semicolons or commas, as a spreadsheet writes them. Raises BadRequest, naming the line, for anything
    else.
    """
    try:
        lines = decode_text(read_file(listing)).splitlines()
    except UnicodeDecodeError:
        raise BadRequest(f"{listing} is no list of pairs in UTF-8.") from None
    pairs = list(_parse(listing, lines, images))
    if not ({True, False} <= {pair.same for pair in pairs}):
        raise BadRequest(f"{listing} needs pairs of one person and pairs of two people, in the format of LFW.")
    return pairs


def short_name(photo: Path) -> str:
    return f"{photo.parent.name}/{photo.name}"


def _parse(listing: Path, lines: list[str], images: Path) -> Iterator[LabelledPair]:
    separator = max("\t;,", key=lambda one: sum(one in line for line in lines))
    for number, line in enumerate(lines, start=1):
        # A spreadsheet fills short lines up with empty cells.
        cells = [cell.strip() for cell in line.rstrip().rstrip(separator).split(separator)]
        match cells:
            case [name, first, second] if _are_numbers(first, second):
                yield LabelledPair(_photo(images, name, first), _photo(images, name, second), same=True)
            case [name, first, other, second] if _are_numbers(first, second):
                yield LabelledPair(_photo(images, name, first), _photo(images, other, second), same=False)
            case counts if number == 1 and all(count.strip().isdecimal() for count in counts):
                pass
            case _ if line.strip():
                raise BadRequest(
                    f"Line {number} of {listing} is no pair in the format of LFW: NAME 1 2, or NAME 1 OTHER 2, with "
                    "tabs between them."
                )


def _are_numbers(*texts: str) -> bool:
    return all(re.fullmatch("[0-9]{1,9}", text) for text in texts)


def _photo(images: Path, name: str, number: str) -> Path:
    return images / name / f"{name}_{int(number):04}.jpg"
