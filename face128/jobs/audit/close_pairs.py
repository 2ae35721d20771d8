"""The distances between all rows of two matrices, and all pairs of different people within a distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix, Metric, distances

BLOCK_ROWS = 1024  # compared with all others at once, or fewer:
BLOCK_PAIRS = 2**24  # 128 MB
MAX_PAIRS = 1_000_000  # the search ends here: such a set has another problem

Rows = npt.NDArray[np.integer[Any]]
NearRows = Callable[[Any, Metric, float], Iterable[tuple[Rows, Rows, npt.NDArray[np.float64]]]]
"""Finds the pairs of rows of a matrix that are at most so far apart: two arrays of rows, and one of distances."""


def distance_matrix(a: Matrix, b: Matrix, metric: Metric) -> npt.NDArray[np.float64]:
    """(rows of a, rows of b), exact to 1e-7: by a matrix product. Not finite where numbers beyond 1e150 overflow."""
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        if metric == "cosine":
            a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
        squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
        np.maximum(squared, 0, out=squared)
        # Of unit vectors the cosine distance is half the square of the Euclidean one.
        return np.asarray(squared / 2 if metric == "cosine" else np.sqrt(squared, out=squared))


def close_pairs(
    vectors: Matrix,
    owners: npt.NDArray[np.int64],
    metric: Metric,
    limit: float,
    *,
    near_rows: NearRows | None = None,
    max_pairs: int = MAX_PAIRS,
) -> list[tuple[int, int, float]]:
    """The pairs of owners with rows at most ``limit`` apart, each once with its least distance, nearest first.

    Takes seconds for ten thousand people. ``near_rows`` finds the pairs of rows; it may be faster than the way here.
    Ends after ``max_pairs`` pairs.
    """
    least: dict[tuple[int, int], float] = {}
    for rows, others, apart in (near_rows or _near_rows)(vectors, metric, limit):
        ones, twos = owners[rows], owners[others]
        different = ones != twos
        pairs = (np.minimum(ones, twos)[different], np.maximum(ones, twos)[different], apart[different])
        for a, b, distance in zip(*(each.tolist() for each in pairs), strict=True):
            least[a, b] = min(least.get((a, b), np.inf), distance)
        if len(least) > max_pairs:
            break
    return sorted(((a, b, d) for (a, b), d in least.items()), key=itemgetter(2))


def farthest_apart(vectors: Matrix, metric: Metric) -> float:
    """The greatest distance of two rows; infinite where two have none. In memory for some rows against all."""
    greatest = 0.0
    step = _rows_at_once(len(vectors))
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step]
        apart = np.nan_to_num(distance_matrix(block, vectors, metric), nan=np.inf, posinf=np.inf)
        row, other = np.unravel_index(apart.argmax(), apart.shape)
        exact = distances(block[row : row + 1], vectors[other : other + 1], metric)
        greatest = max(greatest, float(np.nan_to_num(exact, nan=np.inf, posinf=np.inf)[0]))
    return greatest


def _rows_at_once(count: int) -> int:
    return min(BLOCK_ROWS, max(1, BLOCK_PAIRS // max(1, count)))


def _near_rows(vectors: Matrix, metric: Metric, limit: float) -> Iterator[tuple[Rows, Rows, npt.NDArray[np.float64]]]:
    step = _rows_at_once(len(vectors))
    for start in range(0, len(vectors), step):
        apart = distance_matrix(vectors[start : start + step], vectors[start:], metric)
        rows, others = np.nonzero(apart <= limit)
        rows, others = rows[rows < others], others[rows < others]
        yield start + rows, start + others, apart[rows, others]
