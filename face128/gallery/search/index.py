"""The vector index of one model: finds the nearest of many descriptors, in this process with FAISS, exactly."""

from __future__ import annotations

from math import sqrt

import faiss
import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors, Metric

Ids = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

MIN_BYTE_INDEX_SLOTS = 20_000  # from here on, the byte index saves more time than it costs
CLIP_RANGE = 5.0  # numbers are clipped at CLIP_RANGE / sqrt(dimension): 0.44 for 128 numbers, 0.22 for 512
MAX_CODE = 255
MAX_ROUNDING = CLIP_RANGE / MAX_CODE  # the length of half a step in each number, in any dimension
FLOAT32_MARGIN = 1e-5  # more than float32's own errors in numbers around 1
CANDIDATES = 1000  # of 100,000 descriptors about 100 may be among the nearest; of 512 numbers each, about 300


class FaissIndex:
    """FAISS's flat index, the face id of each of its slots, and a byte index for a first search.

    Searches may run concurrently; a change needs exclusive access.

    FAISS moves everything behind a removed vector: 60 ms in a million. So a removed vector is overwritten with NaN
    here, which no search finds, and its slot is reused.
    """

    def __init__(self, dimension: int, metric: Metric) -> None:
        self._metric = metric
        self._flat = faiss.IndexFlatL2(dimension)
        self._byte_index = ByteIndex(dimension)
        self._ids: Ids = np.empty(0, np.int64)
        """The face id in each slot; -1 in a free one."""
        self._free_slots: list[int] = []
        self._max_id = -1

    def __len__(self) -> int:
        return int(self._flat.ntotal) - len(self._free_slots)

    def add(self, ids: Ids, vectors: Descriptors) -> None:
        """Add (n,) face ids with their (n, dimension) descriptors. An id that is there already is replaced."""
        if ids.min(initial=self._max_id + 1) <= self._max_id:  # else all are new, and none needs to be removed
            self.remove(ids)
        self._max_id = int(ids.max(initial=self._max_id))
        vectors = normalised(vectors) if self._metric == "cosine" else np.ascontiguousarray(vectors, np.float32)
        first_free = max(0, len(self._free_slots) - len(ids))
        reused = np.array(self._free_slots[first_free:], np.int64)
        del self._free_slots[first_free:]
        in_reused, appended = vectors[: len(reused)], vectors[len(reused) :]
        self._vectors()[reused] = in_reused
        self._ids[reused] = ids[: len(reused)]
        start = int(self._flat.ntotal)
        end = start + len(appended)
        if end > len(self._ids):  # an eighth more: the ids of a million faces are not copied for every new one
            self._ids = np.concatenate([self._ids, np.full(end - len(self._ids) + start // 8, -1)])
        self._ids[start:end] = ids[len(reused) :]
        self._flat.add(appended)
        self._byte_index.replace(reused, in_reused)
        self._byte_index.add(appended)

    def remove(self, ids: Ids) -> None:
        """Remove these face ids; unknown ones are ignored."""
        if not len(ids):  # most changes remove nothing
            return
        known = self._ids[: self._flat.ntotal]
        # Most erasures are of one face: for that, == takes a fifth of the time in a million.
        slots = np.flatnonzero(known == ids[0] if len(ids) == 1 else np.isin(known, ids))
        self._vectors()[slots] = np.nan
        self._ids[slots] = -1
        self._free_slots += slots.tolist()
        self._byte_index.clear(slots)

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        """The ``k`` nearest to a (dimension,) descriptor, or all if there are fewer, nearest first.

        Distances are in the model's metric, to float32's precision.
        """
        k = min(k, len(self))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0)
        query = normalised(vector[None]) if self._metric == "cosine" else vector[None].astype(np.float32)
        # OpenMP's default on two cores: one query takes twice as long, two concurrent ones three times. It keeps this
        # setting for each thread.
        faiss.omp_set_num_threads(1)
        large = self._flat.ntotal >= MIN_BYTE_INDEX_SLOTS
        nearest = self._byte_index.search(query, k, self._vectors()) if large else None
        squares, slots = nearest or (found[0] for found in self._flat.search(query, k))
        found = (slots >= 0) & np.isfinite(squares)  # not free slots, nor descriptors that overflow
        return self._ids[slots[found]], distances_from_squares(squares[found], self._metric)

    def _vectors(self) -> Descriptors:
        """FAISS's own memory, (slots, dimension)."""
        size = self._flat.ntotal * self._flat.d
        vectors: Descriptors = faiss.rev_swig_ptr(self._flat.get_xb(), size).reshape(-1, self._flat.d)
        return vectors


class ByteIndex:
    """The descriptors with one byte a number: a first search that reads a quarter of the memory, with a known error.

    Searches may run concurrently; a change needs exclusive access.

    Clipping never moves two descriptors further apart, and rounding moves each of their numbers by at most half a
    step. By the triangle inequality, their distance is at least the rounded one minus what rounding moved both. Only
    candidates whose lower bound is within the k-th exact distance are compared exactly.
    """

    def __init__(self, dimension: int) -> None:
        self._scale = np.float32(MAX_CODE / 2 * sqrt(dimension) / CLIP_RANGE)
        # Compares integers, so it adds no error of its own.
        self._index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2)

    def add(self, vectors: Descriptors) -> None:
        """Store (n, dimension) descriptors in the next n slots."""
        self._index.add_sa_codes(self._rounded(vectors))

    def replace(self, slots: Ids, vectors: Descriptors) -> None:
        """Store (n, dimension) descriptors in these n slots."""
        self._codes()[slots] = self._rounded(vectors)

    def clear(self, slots: Ids) -> None:
        """Overwrite these slots with a code that is far from every descriptor."""
        self._codes()[slots] = MAX_CODE

    def search(self, query: Descriptors, k: int, vectors: Descriptors) -> tuple[Distances, Ids] | None:
        """The ``k`` nearest slots to a (1, dimension) query with their exact squared distances, nearest first.

        ``vectors`` are the descriptors, (slots, dimension); NaN in an empty one. Returns None where CANDIDATES are not
        enough to be certain.
        """

        def exact(slots: Ids) -> Distances:
            differences = vectors[slots].astype(np.float64) - query
            squares: Distances = np.vecdot(differences, differences)
            return squares

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

    def _rounded(self, vectors: Descriptors) -> Codes:
        with np.errstate(invalid="ignore"):  # the exact comparison excludes NaN, whatever its code
            return np.rint(self._clipped(vectors)).astype(np.uint8)

    def _codes(self) -> Codes:
        """FAISS's own memory, (slots, dimension)."""
        size = self._index.ntotal * self._index.d
        codes: Codes = faiss.rev_swig_ptr(self._index.codes.data(), size).reshape(-1, self._index.d)
        return codes


def normalised(vectors: Descriptors) -> Descriptors:
    """Each row scaled to length 1: the squared Euclidean distance of two is then twice their cosine distance."""
    with np.errstate(all="ignore"):
        rows: Descriptors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows.astype(np.float32)


def distances_from_squares(squares: npt.NDArray[np.floating], metric: Metric) -> Distances:
    """The distances in ``metric`` of squared Euclidean ones, as FAISS and Milvus return them."""
    exact = np.maximum(squares.astype(np.float64), 0)
    return exact / 2 if metric == "cosine" else np.sqrt(exact)
