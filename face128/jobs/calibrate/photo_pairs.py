"""Labelled photos and the distances between them: what a calibration measures on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric, distance
from face128.errors import BadRequest
from face128.jobs.calibrate.lfw_pairs import Pair

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Sample:
    """Pairs of photos; every array has one element a pair, except ``people``."""

    photos: list[Path]
    people: Ints
    """(photos,) who is on each photo, as an index."""
    first: Ints
    second: Ints
    """Indices of the photos of each pair."""
    apart: npt.NDArray[np.float32]
    same: npt.NDArray[np.bool_]
    """Whether both photos show one person."""

    @property
    def person_count(self) -> int:
        return int(self.people.max()) + 1


def sample(
    described: dict[Path, npt.NDArray[np.float32]], metric: Metric, pairs: Sequence[Pair] | None = None
) -> Sample:
    """All pairs of the photos, or those that are listed; a photo's folder is its person.

    Raises BadRequest unless there is a pair of each kind. Ten thousand photos, all paired, take 1 GB.
    """
    photos = list(described)
    names = sorted({photo.parent for photo in photos})
    number = {name: i for i, name in enumerate(names)}
    people = np.array([number[photo.parent] for photo in photos], np.int32)
    if pairs is None:
        rows = np.triu_indices(len(photos), 1)
        first, second = (side.astype(np.int32) for side in rows)
        apart = _all_apart(np.array(list(described.values()), np.float64).reshape(len(photos), -1), metric)[rows]
    else:
        index = {photo: i for i, photo in enumerate(photos)}
        known = [(pair.first, pair.second) for pair in pairs if pair.first in index and pair.second in index]
        first, second = (np.array([index[pair[side]] for pair in known], np.int32) for side in (0, 1))
        apart = np.array([distance(described[a], described[b], metric) for a, b in known], np.float32)
    same = people[first] == people[second]
    if not same.any() or same.all():
        raise BadRequest("This needs two people, one of them with two photos that have a face: PHOTOS/person/any.jpg.")
    return Sample(photos, people, first, second, apart, same)


def _all_apart(vectors: npt.NDArray[np.float64], metric: Metric) -> npt.NDArray[np.float32]:
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(1 - vectors @ vectors.T, np.float32)
    squares = np.square(vectors).sum(axis=1)
    squared = squares[:, None] + squares[None] - 2 * (vectors @ vectors.T)
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)
