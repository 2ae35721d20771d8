"""A k-NN graph: the exact nearest other members of each face, updated as faces come and go. The cohort rule needs it.

A list of neighbours has spare places: an erased neighbour only shortens it, and it is searched anew when fewer than
COHORT_SIZE + 1 members are left. Every member that is not in a list is at its ``search_radius`` or beyond. FAISS finds
candidates in float32; the distances stored are those of ``descriptors.distances``.

Memory for each face: 4 bytes a number of the descriptor (8 for the cosine metric, 12 for templates) and 276 for the
rest: 79 MB for 100,000 faces.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors, Metric, Vector, distances
from face128.gallery.rows.space_rows import FaceBatch
from face128.gallery.search.index import Distances, Ids, distances_from_squares, normalised
from face128.matching.asking_photos import asked_by_photos
from face128.matching.cohort_score import COHORT_SIZE, descriptor_lengths
from face128.matching.conformal import Cohort

Rows = npt.NDArray[np.int64]
ALL_ROWS = slice(None)

LIST_SIZE = 14  # neighbours in a list: the COHORT_SIZE + 1 that count, and spare ones
FIRST_CANDIDATES = 16  # faces compared for a list; four times as many while they belong to too few members
BLOCK_PAIRS = 2**22  # pairs compared at once: 16 MB
MIN_FAISS_QUERIES = 20  # with fewer, FAISS uses no matrix product: 20 instead of 5 ms for each of 100,000 faces
BLOCK_CANDIDATES = 2**15  # candidates compared exactly at once
# The relative error of float32's sum of ``dimension`` products is at most ``dimension`` times this, in any order
# (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 3.1).
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


class KnnGraph:
    """Not thread-safe: ``update`` needs exclusive access. A row is a face's position here."""

    def __init__(self, metric: Metric, dimension: int, dtype: type[np.floating] = np.float32) -> None:
        """``dtype`` is that of the descriptors: float64 for templates, so that their distances are exact."""
        self._metric = metric
        self._tolerance = FLOAT32_EPSILON * dimension
        self._size = 0
        """Rows in use. The last row moves into the place of an erased one."""
        self._columns: dict[str, npt.NDArray[Any]] = {
            **{name: np.empty(0, np.int64) for name in ("ids", "users", "names", "member_keys")},
            "by_name": np.empty(0, np.bool_),
            "vectors": np.empty((0, dimension), dtype),
            "squared_norms": np.empty(0, np.float32),
            "lengths": np.empty(0),
            "neighbour_distances": np.empty((0, LIST_SIZE)),
            "neighbour_rows": np.empty((0, LIST_SIZE), np.int32),
            "search_radius": np.empty(0),
        }
        if metric == "cosine" or dtype is not np.float32:
            self._columns["search_vectors"] = np.empty((0, dimension), np.float32)
        self._orders = {name: np.empty(0, np.int64) for name in ("ids", "member_keys")}
        """The rows that there were, in the order of this column at that time."""

    def __len__(self) -> int:
        return self._size

    @property
    def ids(self) -> Ids:
        return self._column("ids")

    def rows_by_id(self) -> Rows:
        """The rows in the order of their ids."""
        return self._in_order("ids")

    def cohort(self, photos: FaceBatch | None = None) -> Cohort:
        """The same as ``Cohort.of`` all descriptors; rows as in ``ids``. Valid until the next update.

        With the ``photos`` that ask, where the rows are templates.
        """
        nearest = self._column("neighbour_distances")[:, : COHORT_SIZE + 1]  # a copy takes 9 ms of 100,000
        cohort = Cohort(self._member_ids(), nearest, self._column("lengths"))
        if photos is None:
            return cohort
        own_ids = np.searchsorted(np.unique(self._column("member_keys")), photos.users)
        vectors = self._column("vectors")
        return asked_by_photos(cohort, photos.vectors, own_ids, vectors, cohort.member_ids, self._metric)

    def exact_distances(self, rows: Rows, probe: Vector) -> Vector:
        """(rows,) the distances of these rows to the probe."""
        return distances(self._column("vectors")[rows], probe, self._metric)

    def distance_bounds(self, probe: Vector, rows: Rows | slice = ALL_ROWS) -> tuple[Distances, Distances]:
        """The least and greatest possible distance of each row to the probe, (rows,) each; NaN where it has none."""
        with np.errstate(all="ignore"):
            query = probe.astype(np.float32)[None]
            squares, errors = self._squared_distances(query if self._metric == "euclidean" else normalised(query), rows)
            least, most = squares[0] - errors[0], squares[0] + errors[0]
            return distances_from_squares(least, self._metric), distances_from_squares(most, self._metric)

    def update(self, erased: Ids, added: FaceBatch) -> None:
        """Remove the faces ``erased`` and add ``added``; a face that is there already is replaced."""
        losing = self._remove(np.flatnonzero(np.isin(self.ids, np.concatenate([erased, added.ids]))))
        old_size = self._size
        self._append(added)
        before, after = self._column("member_keys").copy(), self._current_member_keys()
        self._column("member_keys")[:] = after
        changed = after != before
        changed[old_size:] = True
        # A member that lost a face (erased, or now another member's) may be a neighbour by another of its faces.
        losing = np.union1d(losing, before[:old_size][changed[:old_size]])
        proposed = changed.copy()
        proposed[:old_size] |= np.isin(before[:old_size], losing)
        if (unlinked := np.flatnonzero(changed[:old_size])).size:
            neighbours = self._column("neighbour_rows")
            neighbours[np.isin(neighbours, unlinked)] = -1
            self._compact_lists()
        squares = self._propose(np.flatnonzero(proposed), changed)
        too_short = np.isinf(self._column("neighbour_distances")[:, COHORT_SIZE])  # a list is ascending
        too_short &= np.isfinite(self._column("search_radius"))
        self._search(np.flatnonzero(changed | too_short), squares)

    def _column(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name][: self._size]

    def _current_member_keys(self) -> Ids:
        """(rows,) equal for faces of one member. A record joins all users of its name to one member with it."""
        users, names, by_name = (self._column(name) for name in ("users", "names", "by_name"))
        return np.where(by_name | np.isin(names, np.unique(names[by_name])), names, users)

    def _member_ids(self) -> Rows:
        """(rows,) the place of each row's member key among all, 0 to members - 1: as numpy's ``unique`` finds it."""
        order, numbers = self._in_order("member_keys"), np.zeros(self._size, np.int64)
        keys = self._column("member_keys")[order]
        numbers[order[1:]] = np.cumsum(keys[1:] != keys[:-1])
        return numbers

    def _in_order(self, name: str) -> Rows:
        """The rows in the order of a column. To sort what a few changes leave in order takes a tenth of the time."""
        before = self._orders[name]
        kept = before[before < self._size]
        order = np.concatenate([kept, np.arange(len(kept), self._size)])
        order = order[np.argsort(self._column(name)[order], kind="stable")]
        self._orders[name] = order
        return order

    def _remove(self, rows: Rows) -> Ids:
        """Remove these rows, move the last ones into their places, and return the member keys of the removed."""
        removed_keys = self._column("member_keys")[rows]
        if not len(rows):
            return removed_keys
        size = self._size - len(rows)
        removed = np.zeros(self._size, np.bool_)
        removed[rows] = True
        holes, movers = rows[rows < size], np.flatnonzero(~removed[size:]) + size
        new_rows = np.append(np.arange(self._size), -1)  # -1 stays -1
        new_rows[rows], new_rows[movers] = -1, holes
        for column in self._columns.values():
            column[holes] = column[movers]
            column[size : self._size] = 0  # nothing of the erased stays in memory
        self._size = size
        self._column("neighbour_rows")[:] = new_rows[self._column("neighbour_rows")]
        self._compact_lists()
        return removed_keys

    def _append(self, added: FaceBatch) -> None:
        start, self._size = self._size, self._size + len(added.ids)
        for name, column in self._columns.items():
            if len(column) < self._size:  # an eighth more: memory for 100,000 faces is not copied for every new one
                larger = np.empty((self._size + self._size // 8, *column.shape[1:]), column.dtype)
                larger[:start] = column[:start]
                self._columns[name] = larger
        values = vars(added) | {"member_keys": 0, "search_radius": -np.inf}
        values |= {"neighbour_distances": np.inf, "neighbour_rows": -1}
        values |= {"lengths": descriptor_lengths(added.vectors, self._metric)}
        with np.errstate(over="ignore"):
            searched = added.vectors.astype(np.float32, copy=False)
            searched = normalised(searched) if self._metric == "cosine" else searched
            values |= {"squared_norms": 1 if self._metric == "cosine" else np.vecdot(searched, searched)}
            if "search_vectors" in self._columns:
                values |= {"search_vectors": searched}
        for name, value in values.items():
            self._columns[name][start : self._size] = value

    def _compact_lists(self) -> None:
        """Close the gaps in the lists, where a neighbour is -1."""
        distances_, neighbours = self._column("neighbour_distances"), self._column("neighbour_rows")
        rows = np.flatnonzero(((neighbours < 0) & np.isfinite(distances_)).any(axis=1))
        distances_[rows] = np.where(neighbours[rows] < 0, np.inf, distances_[rows])
        order = np.argsort(distances_[rows], axis=1, kind="stable")
        for column in (distances_, neighbours):
            column[rows] = np.take_along_axis(column[rows], order, 1)

    def _propose(self, proposed: Rows, changed: npt.NDArray[np.bool_]) -> dict[int, Descriptors]:
        """Insert these faces in all lists that they belong to, except those of ``changed`` faces.

        Returns the squared distances of a few of them to all rows, which ``_search`` needs as well.
        """
        computed: dict[int, Descriptors] = {}
        if changed.all():
            return computed
        keys, radius, vectors = (self._column(name) for name in ("member_keys", "search_radius", "vectors"))
        limit = np.where(changed, -np.inf, np.square(radius) if self._metric == "euclidean" else 2 * radius)
        step = max(1, BLOCK_PAIRS // max(1, self._size))
        for start in range(0, len(proposed), step):
            block = proposed[start : start + step]
            with np.errstate(all="ignore"):
                squares, errors = self._squared_distances(self._search_vectors()[block])
                neighbours, rows = np.nonzero(squares - errors <= limit)
            if len(proposed) < MIN_FAISS_QUERIES:
                computed |= zip(block.tolist(), squares, strict=True)
            others = keys[block[neighbours]] != keys[rows]
            neighbours, rows = block[neighbours[others]], rows[others]
            exact = distances(vectors[rows], vectors[neighbours], self._metric)
            order = np.argsort(rows, kind="stable")
            order = order[exact[order] < radius[rows[order]]]
            for pairs in np.split(order, np.flatnonzero(np.diff(rows[order])) + 1) if len(order) else ():
                self._insert(int(rows[pairs[0]]), exact[pairs].tolist(), neighbours[pairs].tolist())
        return computed

    def _insert(self, row: int, new_distances: list[float], new_neighbours: list[int]) -> None:
        """Insert faces in the list of one row."""
        keys, distances_, neighbours = (
            self._columns[name] for name in ("member_keys", "neighbour_distances", "neighbour_rows")
        )
        found = int(np.isfinite(distances_[row]).sum())
        new_distances += distances_[row, :found].tolist()
        new_neighbours += neighbours[row, :found].tolist()
        nearest: dict[int, tuple[float, int]] = {}  # by member
        for entry in sorted(zip(new_distances, new_neighbours, strict=True)):
            nearest.setdefault(int(keys[entry[1]]), entry)
        entries = list(nearest.values())
        if len(entries) > LIST_SIZE:
            self._columns["search_radius"][row] = entries[LIST_SIZE][0]
        entries = entries[:LIST_SIZE] + [(np.inf, -1)] * (LIST_SIZE - len(entries))
        distances_[row], neighbours[row] = zip(*entries, strict=True)

    def _search(self, rows: Rows, squares_of: dict[int, Descriptors], candidates: int = FIRST_CANDIDATES) -> None:
        """Make the lists of these rows from their ``candidates`` nearest faces, or from more if they do not suffice.

        ``squares_of`` has the squared distances of some rows to all.
        """
        candidates, keys = min(candidates, self._size), self._column("member_keys")
        step = max(1, BLOCK_CANDIDATES // max(1, candidates))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            with np.errstate(all="ignore"):
                squares, found = self._nearest_rows(block, squares_of, candidates)
                last = np.where((found[:, -1] < 0) | (candidates == self._size), np.inf, squares[:, -1])
                # Faces that were not found are as far as the last candidate, but for rounding. If |b| > 2|a| then
                # |a-b| > |b|/2, so that error is bounded by |a|^2 and the last candidate's distance.
                error = 5 * self._tolerance * (self._column("squared_norms")[block] + last)
                radius = distances_from_squares(last - error, self._metric)
                radius[np.isinf(last)] = np.inf
            pairs = self._column("vectors")[found.ravel()], self._column("vectors")[block].repeat(candidates, axis=0)
            exact = distances(*pairs, self._metric).reshape(found.shape)
            exact[(found < 0) | (keys[found] == keys[block, None]) | ~(exact < radius[:, None])] = np.inf
            _keep_nearest_of_each_member(exact, keys[found])
            order = np.argsort(exact, axis=1, kind="stable")
            exact, found = np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)
            width = min(LIST_SIZE, candidates)
            distances_, neighbours = self._columns["neighbour_distances"], self._columns["neighbour_rows"]
            distances_[block], neighbours[block] = np.inf, -1
            distances_[block, :width] = exact[:, :width]
            neighbours[block, :width] = np.where(np.isfinite(exact[:, :width]), found[:, :width], -1)
            self._columns["search_radius"][block] = (
                np.minimum(radius, exact[:, LIST_SIZE]) if candidates > LIST_SIZE else radius
            )
            too_few = np.isinf(distances_[block, COHORT_SIZE]) & np.isfinite(radius)
            if too_few.any():
                self._search(block[too_few], squares_of, 4 * candidates)

    def _nearest_rows(
        self, rows: Rows, squares_of: dict[int, Descriptors], candidates: int
    ) -> tuple[Descriptors, Rows]:
        """The nearest faces of each of these rows: squared distances, ascending, and rows, (rows, candidates) each."""
        vectors = self._search_vectors()
        if len(rows) >= MIN_FAISS_QUERIES or candidates == self._size:
            squares, found = faiss.knn(vectors[rows], vectors, candidates)
            return squares, found
        squares, found = np.empty((len(rows), candidates), np.float32), np.empty((len(rows), candidates), np.int64)
        for i, row in enumerate(rows.tolist()):
            computed = squares_of.get(row)
            of_all = self._squared_distances(vectors[row : row + 1])[0][0] if computed is None else computed
            of_all[np.isnan(of_all)] = np.inf
            nearest = np.argpartition(of_all, candidates)[:candidates]
            nearest = nearest[np.argsort(of_all[nearest], kind="stable")]
            squares[i] = of_all[nearest]
            found[i] = np.where(squares[i] < np.inf, nearest, -1)
        return squares, found

    def _search_vectors(self) -> Descriptors:
        """The vectors whose Euclidean distances give the order of the metric."""
        return self._column("search_vectors" if "search_vectors" in self._columns else "vectors")

    def _squared_distances(
        self, queries: Descriptors, rows: Rows | slice = ALL_ROWS
    ) -> tuple[Descriptors, Descriptors]:
        """The squared Euclidean distances of search vectors, and the bounds of their errors: (queries, rows) each."""
        sums = np.vecdot(queries, queries)[:, None] + self._column("squared_norms")[rows]
        return sums - 2 * (queries @ self._search_vectors()[rows].T), np.float32(self._tolerance) * sums


def _keep_nearest_of_each_member(distances_: Vector, keys: Ids) -> None:
    """In each row, set all but the least distance of equal ``keys`` to infinity."""
    row_numbers = np.arange(len(keys)).repeat(keys.shape[1])
    order = np.lexsort((distances_.ravel(), keys.ravel(), row_numbers))
    ordered = np.stack([row_numbers, keys.ravel()])[:, order]
    repeated = (ordered[:, 1:] == ordered[:, :-1]).all(axis=0)
    distances_.ravel()[order[1:][repeated]] = np.inf
