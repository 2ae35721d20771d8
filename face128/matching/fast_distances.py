"""Who is near whom, fast: of a probe, and of each descriptor of a set of members.

The fast ways only choose. Whoever hands a distance out computes it again, as ``descriptors.distances`` defines it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Block, Metric, Vector, distances

Indices = npt.NDArray[np.intp]

# Squares of what is further away overflow; no network makes such a descriptor.
FAR = 1e150
# Rows worked on at once: their differences stay in the processor's cache.
ROWS = 512
# Pairs worked on at once: 32 MB of float64.
PAIRS = 2**22


def rough_distances(vectors: Block, probe: Vector, metric: Metric) -> Vector:
    """Distances as fast as they come, (rows,); infinite for what can never match: NaN, overflow, no direction."""
    rough = np.empty(len(vectors))
    room = np.empty((min(ROWS, len(vectors)), len(probe)))
    with np.errstate(all="ignore"):
        for start in range(0, len(vectors), ROWS):
            block = vectors[start : start + ROWS]
            if metric == "euclidean":
                away = np.subtract(block, probe, out=room[: len(block)])
                rough[start : start + ROWS] = np.sqrt(np.vecdot(away, away))
            else:
                block = block.astype(np.float64, copy=False)
                norms = np.sqrt(np.vecdot(block, block) * np.vecdot(probe, probe))
                rough[start : start + ROWS] = 1 - block @ probe / norms
    rough[~(rough < FAR)] = math.inf  # NaN is not less than anything
    return rough


def nearest_others(
    vectors: Block, people: Indices, metric: Metric, k: int, rows: Indices | None = None
) -> tuple[Vector, Indices]:
    """The ``k`` nearest other members of each descriptor, and how near: two arrays (rows, k), nearest first.

    A member with several descriptors is as near as the nearest of them, and no neighbour of his own. All pairs are
    looked at, in blocks, as matrix products; the distances are those that ``descriptors.distances`` defines.

    ``people`` says whose each descriptor is, as numbers from 0 without a gap. ``rows`` are those that are asked for;
    None asks for all. A distance is infinite (and its neighbour means nothing) where there are fewer than ``k``, or
    where the metric has none that is below 1e150.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    # A member's columns stand side by side, so that all of them can leave at once.
    order = np.argsort(people, kind="stable")
    first = np.searchsorted(people[order], np.arange(people.max(initial=-1) + 2))
    most = int(np.diff(first).max(initial=0))
    columns, offsets = _columns(vectors[order].astype(np.float64), metric)
    near, who = np.empty((len(rows), k)), np.empty((len(rows), k), np.intp)
    step = max(1, PAIRS // max(1, len(vectors)))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        here = np.arange(len(block))
        probes = vectors[block].astype(np.float64)
        with np.errstate(all="ignore"):
            rough = probes @ columns.T
            rough += offsets
            rough[~(np.vecdot(probes, probes) < FAR**2)] = math.inf

        def leave(person: Indices, rough: Vector = rough, here: Indices = here) -> None:
            for i in range(most):
                rough[here, np.minimum(first[person] + i, first[person + 1] - 1)] = math.inf

        leave(people[block])
        for place in range(k):
            column = rough.argmin(axis=1)
            found = distances(vectors[order[column]], probes, metric)
            exists = np.isfinite(rough[here, column]) & np.isfinite(found)
            near[start + here, place] = np.where(exists, found, math.inf)
            who[start + here, place] = people[order[column]]
            leave(people[order[column]])
    # What rounding put in the wrong order.
    sorted_ = np.argsort(near, axis=1, kind="stable")
    return np.take_along_axis(near, sorted_, axis=1), np.take_along_axis(who, sorted_, axis=1)


def _columns(vectors: Vector, metric: Metric) -> tuple[Vector, Vector]:
    """A matrix M and offsets o such that, for each probe, ``probe @ M.T + o`` ranks the rows by their distance.

    Euclidean: |a - b|^2 = |a|^2 - 2ab + |b|^2, and |a|^2 is the same for all. Cosine: -ab / |b|.
    """
    with np.errstate(all="ignore"):
        squares = np.vecdot(vectors, vectors)
        scale = -2 if metric == "euclidean" else -1 / np.sqrt(squares)[:, None]
        sound = (squares < FAR**2) & ((squares > 0) | (metric == "euclidean"))
        matrix = np.where(sound[:, None], vectors * scale, 0)
    return matrix, np.where(sound, squares if metric == "euclidean" else 0, math.inf)
