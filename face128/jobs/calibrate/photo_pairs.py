"""Pairs of labelled photos and their distances: the data of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric, distance
from face128.errors import BadRequest
from face128.jobs.calibrate.lfw_pairs import LabelledPair

Ints = npt.NDArray[np.int32]


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
    if listed is None:
        rows = np.triu_indices(len(photos), 1)
        first, second = (side.astype(np.int32) for side in rows)
        matrix = np.array(list(descriptors.values()), np.float64).reshape(len(photos), -1)
        distances = _all_distances(matrix, metric)[rows]
    else:
        index = {photo: i for i, photo in enumerate(photos)}
        found = [(pair.first, pair.second) for pair in listed if pair.first in index and pair.second in index]
        first, second = (np.array([index[pair[side]] for pair in found], np.int32) for side in (0, 1))
        distances = np.array([distance(descriptors[a], descriptors[b], metric) for a, b in found], np.float32)
    genuine = people[first] == people[second]
    if not genuine.any() or genuine.all():
        raise BadRequest("This needs two people, one of them with two photos that have a face: PHOTOS/person/any.jpg.")
    return PhotoPairs(photos, people, first, second, distances, genuine)


def _all_distances(vectors: npt.NDArray[np.float64], metric: Metric) -> npt.NDArray[np.float32]:
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(1 - vectors @ vectors.T, np.float32)
    squares = np.square(vectors).sum(axis=1)
    squared = squares[:, None] + squares[None] - 2 * (vectors @ vectors.T)
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)
