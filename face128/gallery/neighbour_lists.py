"""Of each face the nearest other people, exact, and kept so as faces come and go: what the cohort rule stands on.

A list has spare places: when somebody in it is erased it only grows shorter, and is looked for again when fewer than
NEXT + 1 people are left. Whoever is not in a list is at its ``reach`` or beyond. FAISS proposes in float32; distances
are those that ``descriptors.distances`` defines.

Memory: 4 bytes a number of the descriptor (8 for the cosine metric) and 250 for the list: 76 MB for 100,000 faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors, Metric, Vector, distances
from face128.gallery.index import Distances, Ids, directions, true_distances
from face128.matching.cohort import NEXT, Cohort

Slots = npt.NDArray[np.int64]
EVERY = slice(None)

WIDTH = 14  # people in a list: the NEXT + 1 that count, and spare ones
ASKED = 16  # faces that are looked at for a list, and four times as many where they are of too few people
PAIRS = 2**22  # pairs compared at once: 16 MB
# float32's sums of ``dimension`` products are good to this share of the squares (Higham, Accuracy and Stability of
# Numerical Algorithms, 2nd ed., 3.1), whatever their order.
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Faces:
    """Faces as they are stored; each array has a row a face. ``users`` and ``names`` are hashes: names take memory."""

    ids: Ids
    vectors: Descriptors
    users: Ids
    names: Ids
    by_name: npt.NDArray[np.bool_]
    """A record of document 2: its person is its name."""


class NeighbourLists:
    """Not thread-safe: changes are made alone."""

    def __init__(self, metric: Metric, dimension: int) -> None:
        self._metric = metric
        self._tolerance = EPSILON * dimension
        self._size = 0
        """Rows in use. A face that is erased leaves its row to the last one."""
        self._columns: dict[str, npt.NDArray[Any]] = {
            "ids": np.empty(0, np.int64),
            "users": np.empty(0, np.int64),
            "names": np.empty(0, np.int64),
            "by_name": np.empty(0, np.bool_),
            "people": np.empty(0, np.int64),
            "vectors": np.empty((0, dimension), np.float32),
            "squares": np.empty(0, np.float32),
            "near": np.empty((0, WIDTH)),
            "via": np.empty((0, WIDTH), np.int32),
            "reach": np.empty(0),
        }
        if metric == "cosine":
            self._columns["directions"] = np.empty((0, dimension), np.float32)

    def __len__(self) -> int:
        return self._size

    @property
    def ids(self) -> Ids:
        return self._column("ids")

    def cohort(self) -> Cohort:
        """The members as strangers to each other, as Cohort.of would find them; rows as in ``ids``."""
        _, people = np.unique(self._column("people"), return_inverse=True)
        near, via = (self._column(name)[:, : NEXT + 1].copy() for name in ("near", "via"))
        return Cohort(people, near, people[via] if len(people) else via.astype(np.intp))

    def exact(self, rows: Slots, probe: Vector) -> Vector:
        """The distances of these rows."""
        return distances(self._column("vectors")[rows], probe, self._metric)

    def bounds(self, probe: Vector, rows: Slots | slice = EVERY) -> tuple[Distances, Distances]:
        """(rows,) between which two the distance of each face to the probe is; NaN where there is none."""
        with np.errstate(all="ignore"):
            query = probe.astype(np.float32)
            least, slack = self._squared(query[None] if self._metric == "euclidean" else directions(query[None]), rows)
            least, most = least[0] - slack[0], least[0] + slack[0]
            return self._distance(least), self._distance(most)

    def change(self, gone: Ids, new: Faces) -> None:
        """Forget the faces ``gone``, and take ``new`` ones; one that is there already is replaced."""
        lost = self._remove(np.flatnonzero(np.isin(self.ids, np.concatenate([gone, new.ids]))))
        known = self._size
        self._append(new)
        people, before = self._people(), self._column("people").copy()
        fresh = people != before
        fresh[known:] = True
        self._column("people")[:] = people
        # Of whom a face has gone, or is somebody else's now, the other faces may be next in line.
        lost = np.union1d(lost, before[:known][fresh[:known]])
        offered = fresh.copy()
        offered[:known] |= np.isin(before[:known], lost)
        self._forget(np.flatnonzero(fresh[:known]))
        self._offer(np.flatnonzero(offered), fresh)
        found = np.isfinite(self._column("near")).sum(axis=1)
        self._look(np.flatnonzero(fresh | ((found <= NEXT) & np.isfinite(self._column("reach")))))

    def _column(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name][: self._size]

    def _people(self) -> Ids:
        """(rows,) whose each face is. A record and a user of its name are one person, and so are all whom it links."""
        users, names, by_name = (self._column(name) for name in ("users", "names", "by_name"))
        return np.where(by_name | np.isin(names, np.unique(names[by_name])), names, users)

    def _remove(self, rows: Slots) -> Ids:
        """Fill the places of these rows with the last ones, and return whose faces they were."""
        people = self._column("people")[rows]
        size = self._size - len(rows)
        leaving = np.zeros(self._size, np.bool_)
        leaving[rows] = True
        holes, movers = rows[rows < size], np.flatnonzero(~leaving[size:]) + size
        place = np.append(np.arange(self._size), -1)
        place[rows], place[movers] = -1, holes
        for column in self._columns.values():
            column[holes] = column[movers]
        self._size = size
        if len(rows):
            self._column("via")[:] = place[self._column("via")]
            self._close_up()
        return people

    def _append(self, new: Faces) -> None:
        start, self._size = self._size, self._size + len(new.ids)
        for name, column in self._columns.items():
            if len(column) < self._size:  # an eighth to spare: memory for 100,000 is not copied for every face
                more = np.empty((self._size + self._size // 8, *column.shape[1:]), column.dtype)
                more[:start] = column[:start]
                self._columns[name] = more
        added: dict[str, Any] = {"ids": new.ids, "users": new.users, "names": new.names, "by_name": new.by_name}
        added |= {"vectors": new.vectors, "people": 0, "near": np.inf, "via": -1, "reach": -np.inf}
        with np.errstate(over="ignore"):
            if self._metric == "cosine":
                added |= {"directions": directions(new.vectors), "squares": 1}
            else:
                added |= {"squares": np.vecdot(new.vectors, new.vectors)}
        for name, values in added.items():
            self._columns[name][start : self._size] = values

    def _forget(self, rows: Slots) -> None:
        """Strike these rows out of all lists."""
        if len(rows):
            via = self._column("via")
            via[np.isin(via, rows)] = -1
            self._close_up()

    def _close_up(self) -> None:
        near, via = self._column("near"), self._column("via")
        open_ = np.flatnonzero(((via < 0) & np.isfinite(near)).any(axis=1))
        near[open_] = np.where(via[open_] < 0, np.inf, near[open_])
        order = np.argsort(near[open_], axis=1, kind="stable")
        near[open_], via[open_] = (np.take_along_axis(each[open_], order, 1) for each in (near, via))

    def _offer(self, offered: Slots, fresh: npt.NDArray[np.bool_]) -> None:
        """Enter these faces in the lists that they belong into; not in those of ``fresh`` faces."""
        if fresh.all():
            return
        people, reach, vectors = (self._column(name) for name in ("people", "reach", "vectors"))
        limit = np.where(fresh, -np.inf, np.square(reach) if self._metric == "euclidean" else 2 * reach)
        step = max(1, PAIRS // max(1, self._size))
        for start in range(0, len(offered), step):
            block = offered[start : start + step]
            with np.errstate(all="ignore"):
                squared, slack = self._squared(self._ready()[block])
                which, rows = np.nonzero(squared - slack <= limit)
            others = people[block[which]] != people[rows]
            which, rows = block[which[others]], rows[others]
            exact = distances(vectors[rows], vectors[which], self._metric)
            order = np.argsort(rows, kind="stable")
            order = order[exact[order] < reach[rows[order]]]
            for found in np.split(order, np.flatnonzero(np.diff(rows[order])) + 1) if len(order) else ():
                self._enter(int(rows[found[0]]), exact[found].tolist(), which[found].tolist())

    def _enter(self, row: int, near: list[float], via: list[int]) -> None:
        """Enter faces in one list."""
        people, there = self._columns["people"], int(np.isfinite(self._columns["near"][row]).sum())
        near += self._columns["near"][row, :there].tolist()
        via += self._columns["via"][row, :there].tolist()
        nearest: dict[int, tuple[float, int]] = {}
        for entry in sorted(zip(near, via, strict=True)):
            nearest.setdefault(int(people[entry[1]]), entry)
        entries = list(nearest.values())
        if len(entries) > WIDTH:
            self._columns["reach"][row] = entries[WIDTH][0]
        kept = entries[:WIDTH] + [(np.inf, -1)] * (WIDTH - len(entries))
        self._columns["near"][row], self._columns["via"][row] = zip(*kept, strict=True)

    def _look(self, rows: Slots, asked: int = ASKED) -> None:
        """Make the lists of these rows, from their ``asked`` nearest faces or from more."""
        asked, ready, people = min(asked, self._size), self._ready(), self._column("people")
        step = max(1, 2**15 // max(1, asked))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            with np.errstate(all="ignore"):
                squared, columns = faiss.knn(ready[block], ready, asked)
                last = np.where((columns[:, -1] < 0) | (asked == self._size), np.inf, squared[:, -1])
                # Whoever was not proposed: as far as the last, but for rounding. Of a face more than twice as long as
                # this one the distance is more than half its length, so that all is told by this one's and by ``last``.
                bound = self._distance(last - 5 * self._tolerance * (self._column("squares")[block] + last))
                bound[np.isinf(last)] = np.inf
            exact = self._among(block, columns)
            exact[(columns < 0) | (people[columns] == people[block, None]) | ~(exact < bound[:, None])] = np.inf
            which = np.arange(len(block)).repeat(asked)
            # Of each other person the nearest face.
            order = np.lexsort((exact.ravel(), people[columns].ravel(), which))
            again = np.diff(people[columns].ravel()[order], prepend=people[columns[0, 0]] - 1) == 0
            again &= np.diff(which[order], prepend=-1) == 0
            exact.ravel()[order[again]] = np.inf
            order = np.argsort(exact, axis=1, kind="stable")
            exact, columns = (np.take_along_axis(each, order, 1) for each in (exact, columns))
            width = min(WIDTH, asked)
            self._columns["near"][block], self._columns["via"][block] = np.inf, -1
            self._columns["near"][block, :width] = exact[:, :width]
            self._columns["via"][block, :width] = np.where(np.isfinite(exact[:, :width]), columns[:, :width], -1)
            self._columns["reach"][block] = np.minimum(bound, exact[:, WIDTH]) if asked > WIDTH else bound
            few = ~np.isfinite(exact[:, NEXT]) & np.isfinite(bound) if asked > NEXT else np.isfinite(bound)
            if few.any():
                self._look(block[few], 4 * asked)

    def _among(self, block: Slots, columns: Slots) -> Vector:
        vectors = self._column("vectors")
        pairs = vectors[columns.ravel()], vectors[block].repeat(columns.shape[1], axis=0)
        return distances(*pairs, self._metric).reshape(columns.shape)

    def _ready(self) -> Descriptors:
        return self._column("vectors" if self._metric == "euclidean" else "directions")

    def _squared(self, queries: Descriptors, rows: Slots | slice = EVERY) -> tuple[Descriptors, Descriptors]:
        """(queries, rows) the squared Euclidean distances of what is ready, and how far they may be off."""
        sums = np.vecdot(queries, queries)[:, None] + self._column("squares")[rows]
        return sums - 2 * (queries @ self._ready()[rows].T), np.float32(self._tolerance) * sums

    def _distance(self, squares: npt.NDArray[Any]) -> Distances:
        return true_distances(squares, self._metric)
