"""The distances between all rows of two matrices, and all pairs of different people within a distance."""

from __future__ import annotations

from operator import itemgetter

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric

BLOCK_ROWS = 1024  # compared with all others at once: 80 MB at 10,000
MAX_PAIRS = 1_000_000  # the search ends here: such a set has another problem


def distance_matrix(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], metric: Metric) -> npt.NDArray[np.float64]:
    """(rows of a, rows of b), exact to 1e-7: by a matrix product. Not finite where numbers beyond 1e150 overflow."""
    with np.errstate(all="ignore"):
        if metric == "cosine":
            a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
        squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
        np.maximum(squared, 0, out=squared)
        # Of unit vectors the cosine distance is half the square of the Euclidean one.
        return np.asarray(squared / 2 if metric == "cosine" else np.sqrt(squared, out=squared))


def close_pairs(
    vectors: npt.NDArray[np.float64], owners: npt.NDArray[np.int64], metric: Metric, limit: float
) -> list[tuple[int, int, float]]:
    """The pairs of owners with rows at most ``limit`` apart, each once with its least distance, nearest first.

    Takes seconds for ten thousand people. Ends after MAX_PAIRS pairs.
    """
    least: dict[tuple[int, int], float] = {}
    for start in range(0, len(vectors), BLOCK_ROWS):
        apart = distance_matrix(vectors[start : start + BLOCK_ROWS], vectors[start:], metric)
        close_rows, close_columns = np.nonzero(apart <= limit)
        for row, column in zip(close_rows.tolist(), close_columns.tolist(), strict=True):
            a, b = sorted((int(owners[start + row]), int(owners[start + column])))
            if row < column and a != b:
                least[a, b] = min(least.get((a, b), np.inf), float(apart[row, column]))
        if len(least) > MAX_PAIRS:
            break
    return sorted(((a, b, d) for (a, b), d in least.items()), key=itemgetter(2))
