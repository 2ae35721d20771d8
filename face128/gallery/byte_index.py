"""Descriptors in a byte a number: a first look that reads a quarter of the memory, and knows how far it may be off.

Clipping brings two descriptors nearer to each other if anything, and rounding moves each of them by half a step a
number at most: by the triangle inequality, a distance is at least that of the rounded ones less what rounding moved
them. Whoever is beyond the nearest by that cannot be among them; the few who are left are compared exactly. A first
look that cannot be certain says so.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import faiss
import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors

Places = npt.NDArray[np.int64]
Squares = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

RANGE = 5.0  # numbers are clipped at RANGE / sqrt(dimension): 0.44 of 128, 0.22 of 512
STEPS = 255
WORST = RANGE / STEPS  # half a step in each number, in any dimension
SLACK = 1e-5  # float32's own errors in numbers around 1, and more
LOOKED_AT = 1000  # the nearest at first sight; of 100,000 some 100 may be among the nearest, and of 512 numbers 300


class Coarse:
    """Knows descriptors by their place. Searches may run side by side, changes are made alone."""

    def __init__(self, dimension: int) -> None:
        self._scale = np.float32(STEPS / 2 * sqrt(dimension) / RANGE)
        # Compares integers: without an error of its own.
        self._codes = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2)

    def add(self, vectors: Descriptors) -> None:
        """Put (n, dimension) descriptors at the next places."""
        self._codes.add_sa_codes(_rounded(self._clipped(vectors)))

    def replace(self, places: Places, vectors: Descriptors) -> None:
        """Put (n, dimension) descriptors at these places."""
        self._all()[places] = _rounded(self._clipped(vectors))

    def forget(self, places: Places) -> None:
        """Leave at these places what is far from everybody."""
        self._all()[places] = STEPS

    def nearest(self, query: Descriptors, k: int, exact: Callable[[Places], Squares]) -> tuple[Squares, Places] | None:
        """The ``k`` places nearest to a (1, dimension) query and their squared distances, the nearest first.

        ``exact`` gives the squared distances of some places; NaN for one that is empty. None where it is not certain.
        """
        if k > LOOKED_AT or not np.isfinite(query).all():
            return None
        clipped = self._clipped(query)
        codes = np.rint(clipped)
        rough, places = (found[0] for found in self._codes.search(codes, LOOKED_AT))
        # Who is at a place is at least so far away; whoever was not looked at, as far as the last.
        least = (np.sqrt(rough) - np.linalg.norm(clipped - codes)) / self._scale - (WORST + SLACK)
        reach = np.sqrt(exact(places[:k]).max())
        count = int(np.searchsorted(least, reach, side="right"))
        if count == len(least):  # as it also is if the reach is NaN
            return None
        squares = exact(places[:count])
        order = np.argsort(squares, kind="stable")[:k]
        return squares[order], places[order]

    def _clipped(self, vectors: Descriptors) -> Descriptors:
        """In steps, from 0 to STEPS; NaN stays."""
        with np.errstate(over="ignore"):
            steps: Descriptors = vectors * self._scale
        steps += np.float32(STEPS / 2)
        return np.clip(steps, 0, STEPS, out=steps)

    def _all(self) -> Codes:
        """FAISS's own memory, (places, dimension)."""
        size = self._codes.ntotal * self._codes.d
        block: Codes = faiss.rev_swig_ptr(self._codes.codes.data(), size).reshape(-1, self._codes.d)
        return block


def _rounded(clipped: Descriptors) -> Codes:
    with np.errstate(invalid="ignore"):  # a NaN is near to nothing, whatever its code
        return np.rint(clipped, out=clipped).astype(np.uint8)
