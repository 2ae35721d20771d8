"""The descriptors with one byte a number: a first search that reads a quarter of the memory, with a known error.

Clipping never moves two descriptors further apart, and rounding moves each of their numbers by at most half a step. By
the triangle inequality, their distance is at least the rounded one minus what rounding moved both. Only candidates
whose lower bound is within the k-th exact distance are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import faiss
import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors

Slots = npt.NDArray[np.int64]
SquaredDistances = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

CLIP_RANGE = 5.0  # numbers are clipped at CLIP_RANGE / sqrt(dimension): 0.44 for 128 numbers, 0.22 for 512
MAX_CODE = 255
MAX_ROUNDING = CLIP_RANGE / MAX_CODE  # the length of half a step in each number, in any dimension
FLOAT32_MARGIN = 1e-5  # more than float32's own errors in numbers around 1
CANDIDATES = 1000  # of 100,000 descriptors about 100 may be among the nearest; of 512 numbers each, about 300


class ByteIndex:
    """Descriptors by slot number. Searches may run concurrently; a change needs exclusive access."""

    def __init__(self, dimension: int) -> None:
        self._scale = np.float32(MAX_CODE / 2 * sqrt(dimension) / CLIP_RANGE)
        # Compares integers, so it adds no error of its own.
        self._index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2)

    def add(self, vectors: Descriptors) -> None:
        """Store (n, dimension) descriptors in the next n slots."""
        self._index.add_sa_codes(_rounded(self._clipped(vectors)))

    def replace(self, slots: Slots, vectors: Descriptors) -> None:
        """Store (n, dimension) descriptors in these n slots."""
        self._codes()[slots] = _rounded(self._clipped(vectors))

    def clear(self, slots: Slots) -> None:
        """Overwrite these slots with a code that is far from every descriptor."""
        self._codes()[slots] = MAX_CODE

    def search(
        self, query: Descriptors, k: int, exact: Callable[[Slots], SquaredDistances]
    ) -> tuple[SquaredDistances, Slots] | None:
        """The ``k`` nearest slots to a (1, dimension) query with their squared distances, nearest first.

        ``exact`` returns the squared distances of given slots; NaN for an empty one. Returns None where CANDIDATES are
        not enough to be certain.
        """
        if k > CANDIDATES or not np.isfinite(query).all():
            return None
        clipped = self._clipped(query)
        codes = np.rint(clipped)
        squares, slots = (found[0] for found in self._index.search(codes, CANDIDATES))
        # Lower bounds of the true distances; every other slot is at least as far as the last candidate.
        least = (np.sqrt(squares) - np.linalg.norm(clipped - codes)) / self._scale - (MAX_ROUNDING + FLOAT32_MARGIN)
        kth = np.sqrt(exact(slots[:k]).max())
        count = int(np.searchsorted(least, kth, side="right"))
        if count == len(least):  # also if the k-th distance is NaN
            return None
        squares = exact(slots[:count])
        order = np.argsort(squares, kind="stable")[:k]
        return squares[order], slots[order]

    def _clipped(self, vectors: Descriptors) -> Descriptors:
        """In steps, from 0 to MAX_CODE; NaN stays NaN."""
        with np.errstate(over="ignore"):
            steps: Descriptors = vectors * self._scale
        steps += np.float32(MAX_CODE / 2)
        return np.clip(steps, 0, MAX_CODE, out=steps)

    def _codes(self) -> Codes:
        """FAISS's own memory, (slots, dimension)."""
        size = self._index.ntotal * self._index.d
        codes: Codes = faiss.rev_swig_ptr(self._index.codes.data(), size).reshape(-1, self._index.d)
        return codes


def _rounded(clipped: Descriptors) -> Codes:
    with np.errstate(invalid="ignore"):  # the exact comparison excludes NaN, whatever its code
        return np.rint(clipped, out=clipped).astype(np.uint8)
