"""All pairs of different people within a distance; of ten thousand people in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric

BLOCK_ROWS = 1024  # compared with all others at once: 80 MB at 10,000
MAX_PAIRS = 1_000_000  # the search ends here: such a set has another problem


@dataclass(frozen=True)
class ClosePair:
    first: int
    second: int
    distance: float


def close_pairs(
    vectors: npt.NDArray[np.float64], owners: npt.NDArray[np.int64], metric: Metric, limit: float
) -> list[ClosePair]:
    """The pairs of owners with rows at most ``limit`` apart, each once with its least distance, nearest first.

    Distances are exact to 1e-7: matrix products in float64. Ends after MAX_PAIRS pairs.
    """
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        squares = np.square(vectors).sum(axis=1)
    least: dict[tuple[int, int], float] = {}
    for start in range(0, len(vectors), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        with np.errstate(all="ignore"):  # numbers beyond 1e150 overflow: no distance, no pair
            squared = squares[rows, None] + squares[None, start:] - 2 * (vectors[rows] @ vectors[start:].T)
        np.maximum(squared, 0, out=squared)
        # Of unit vectors the cosine distance is half the square of the Euclidean one.
        apart = squared / 2 if metric == "cosine" else np.sqrt(squared)
        close_rows, close_columns = np.nonzero(apart <= limit)
        for row, column in zip(close_rows.tolist(), close_columns.tolist(), strict=True):
            a, b = sorted((int(owners[start + row]), int(owners[start + column])))
            if row < column and a != b:
                least[a, b] = min(least.get((a, b), np.inf), float(apart[row, column]))
        if len(least) > MAX_PAIRS:
            break
    return sorted((ClosePair(a, b, d) for (a, b), d in least.items()), key=lambda pair: pair.distance)
