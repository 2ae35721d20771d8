"""Every pair of different people that is nearer than a limit, among ten thousand in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Metric

BLOCK = 1024  # rows compared with all others at once: 80 MB at 10,000
ENOUGH = 1_000_000  # pairs, after which the search ends: this set has another problem


@dataclass(frozen=True)
class NearPair:
    first: int
    second: int
    distance: float


def pairs_within(
    vectors: npt.NDArray[np.float64], owners: npt.NDArray[np.int64], metric: Metric, limit: float
) -> list[NearPair]:
    """The pairs of owners with rows at most ``limit`` apart, each once with its least distance, the nearest first.

    Distances are good to 1e-7: products of matrices, in float64. Ends after ENOUGH pairs.
    """
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        squares = np.square(vectors).sum(axis=1)
    least: dict[tuple[int, int], float] = {}
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, start + BLOCK)
        with np.errstate(all="ignore"):  # numbers beyond 1e150 have no distance, and are near nobody
            squared = squares[rows, None] + squares[None, start:] - 2 * (vectors[rows] @ vectors[start:].T)
        np.maximum(squared, 0, out=squared)
        # Of unit vectors the cosine distance is half the square of the Euclidean one.
        apart = squared / 2 if metric == "cosine" else np.sqrt(squared)
        near_rows, near_columns = np.nonzero(apart <= limit)
        for row, column in zip(near_rows.tolist(), near_columns.tolist(), strict=True):
            a, b = sorted((int(owners[start + row]), int(owners[start + column])))
            if row < column and a != b:
                least[a, b] = min(least.get((a, b), np.inf), float(apart[row, column]))
        if len(least) > ENOUGH:
            break
    return sorted((NearPair(a, b, d) for (a, b), d in least.items()), key=lambda pair: pair.distance)
