"""Finds the nearest of many descriptors of one model: in the process with FAISS, exactly."""

from __future__ import annotations

from typing import Protocol

import faiss
import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors, Metric
from face128.gallery.byte_index import Coarse, Places, Squares

Ids = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float64]

MANY = 20_000  # places from which on a first look saves more than it costs


class Index(Protocol):
    """Row numbers and their descriptors. Searches may run side by side, changes are made alone."""

    def add(self, ids: Ids, vectors: Descriptors) -> None:
        """Take (n,) row numbers with their (n, dimension) descriptors. One that is there already is replaced."""
        ...

    def remove(self, ids: Ids) -> None:
        """Forget these row numbers, as far as they are there."""
        ...

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        """The nearest ``k`` to a (dimension,) descriptor, or all if there are fewer, the nearest first.

        True distances in the model's metric, to float32's precision.
        """
        ...

    def ids(self) -> Ids:
        """Every row number, ascending."""
        ...

    def __len__(self) -> int: ...


class FaissIndex:
    """FAISS's flat index, with row numbers beside it, and a coarse copy for a first look.

    FAISS moves all that follows a removed vector: 60 ms in a million. Here a removed vector is overwritten with NaN,
    which is near to nothing, and the next one that is added takes its place.
    """

    def __init__(self, dimension: int, metric: Metric) -> None:
        self._metric = metric
        self._flat = faiss.IndexFlatL2(dimension)
        self._coarse = Coarse(dimension)
        self._ids: Ids = np.empty(0, np.int64)
        """The row number at each place of the flat index; -1 where there is none."""
        self._free: list[int] = []
        self._highest = -1

    def __len__(self) -> int:
        return int(self._flat.ntotal) - len(self._free)

    def ids(self) -> Ids:
        ids = self._ids[: self._flat.ntotal]
        return np.sort(ids[ids >= 0])

    def add(self, ids: Ids, vectors: Descriptors) -> None:
        if ids.min(initial=self._highest + 1) <= self._highest:  # else all are new: nothing to look for
            self.remove(ids)
        self._highest = int(ids.max(initial=self._highest))
        ready = directions(vectors) if self._metric == "cosine" else np.ascontiguousarray(vectors, np.float32)
        reused = np.array(self._free[len(self._free) - min(len(ids), len(self._free)) :], np.int64)
        del self._free[len(self._free) - len(reused) :]
        self._vectors()[reused] = ready[: len(reused)]
        self._ids[reused] = ids[: len(reused)]
        start = int(self._flat.ntotal)
        more = len(ids) - len(reused)
        if start + more > len(self._ids):  # an eighth to spare: memory for a million is not copied for every face
            self._ids = np.concatenate([self._ids, np.full(start // 8 + more, -1)])
        self._ids[start : start + more] = ids[len(reused) :]
        self._flat.add(ready[len(reused) :])
        self._coarse.replace(reused, ready[: len(reused)])
        self._coarse.add(ready[len(reused) :])

    def remove(self, ids: Ids) -> None:
        if not len(ids):  # which is what most changes remove
            return
        known = self._ids[: self._flat.ntotal]
        # One face is what is erased most often: of a million, in a fifth of the time.
        places = np.flatnonzero(known == ids[0] if len(ids) == 1 else np.isin(known, ids))
        self._vectors()[places] = np.nan
        self._ids[places] = -1
        self._free += places.tolist()
        self._coarse.forget(places)

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        k = min(k, len(self))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0)
        query = directions(vector[None]) if self._metric == "cosine" else vector[None].astype(np.float32)
        # OpenMP keeps it for each thread. On two cores one query takes twice as long, and two at once three times.
        faiss.omp_set_num_threads(1)
        squares, places = self._first_look(query, k) or (found[0] for found in self._flat.search(query, k))
        there = (places >= 0) & np.isfinite(squares)  # a descriptor that overflows is near to nothing
        return self._ids[places[there]], true_distances(squares[there], self._metric)

    def _first_look(self, query: Descriptors, k: int) -> tuple[Squares, Places] | None:
        """The nearest places, by their exact squared distances; None where that is not certain, or takes longer."""
        if self._flat.ntotal < MANY:
            return None
        vectors = self._vectors()

        def exact(places: Places) -> Squares:
            apart = vectors[places].astype(np.float64) - query
            squares: Squares = np.vecdot(apart, apart)
            return squares

        return self._coarse.nearest(query, k, exact)

    def _vectors(self) -> Descriptors:
        """FAISS's own memory, (places, dimension)."""
        size = self._flat.ntotal * self._flat.d
        block: Descriptors = faiss.rev_swig_ptr(self._flat.get_xb(), size).reshape(-1, self._flat.d)
        return block


def directions(vectors: Descriptors) -> Descriptors:
    """Each row at length 1, for the cosine metric: the square of their distance is twice one minus the cosine."""
    with np.errstate(all="ignore"):
        rows: Descriptors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows.astype(np.float32)


def true_distances(squares: npt.NDArray[np.floating], metric: Metric) -> Distances:
    """Of squared Euclidean distances, as FAISS and Milvus give them."""
    exact = np.maximum(squares.astype(np.float64), 0)
    return exact / 2 if metric == "cosine" else np.sqrt(exact)
