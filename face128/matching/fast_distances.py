"""Fast approximate distances, and exact nearest neighbours found with their help.

Approximate distances only select rows. A distance that leaves the package is computed by ``descriptors.distances``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix, Metric, Vector, distances

Indices = npt.NDArray[np.intp]

# Squares of larger distances overflow; no network makes such a descriptor.
MAX_DISTANCE = 1e150
# Rows in work at once: their differences fit into the processor's cache.
BLOCK_ROWS = 512
# Pairs in work at once: 32 MB of float64.
BLOCK_PAIRS = 2**22


def approximate_distances(vectors: Matrix, probe: Vector, metric: Metric) -> Vector:
    """(rows,) distances to the probe, up to rounding; infinite if undefined (NaN, overflow, or cosine of zeros)."""
    approximate = np.empty(len(vectors))
    buffer = np.empty((min(BLOCK_ROWS, len(vectors)), len(probe)))
    with np.errstate(all="ignore"):
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = vectors[start : start + BLOCK_ROWS]
            if metric == "euclidean":
                differences = np.subtract(block, probe, out=buffer[: len(block)])
                approximate[start : start + BLOCK_ROWS] = np.sqrt(np.vecdot(differences, differences))
            else:
                block = block.astype(np.float64, copy=False)
                norms = np.sqrt(np.vecdot(block, block) * np.vecdot(probe, probe))
                approximate[start : start + BLOCK_ROWS] = 1 - block @ probe / norms
    approximate[~(approximate < MAX_DISTANCE)] = math.inf  # also NaN
    return approximate


def nearest_other_members(
    vectors: Matrix, member_ids: Indices, metric: Metric, k: int, rows: Indices | None = None
) -> tuple[Vector, Indices]:
    """The ``k`` nearest other members of each descriptor; ``rows`` selects descriptors, None means all.

    As ``nearest_members``: a member is never their own neighbour.
    """
    probes, own_ids = (vectors, member_ids) if rows is None else (vectors[rows], member_ids[rows])
    return nearest_members(probes, own_ids, vectors, member_ids, metric, k)


def nearest_members(
    probes: Matrix, own_ids: Indices, vectors: Matrix, member_ids: Indices, metric: Metric, k: int
) -> tuple[Vector, Indices]:
    """The ``k`` nearest members of each probe: distances and member ids, both (probes, k), nearest first.

    The distance to a member is that to their nearest descriptor. Compares all pairs, in blocks, by matrix products;
    the returned distances are those of ``descriptors.distances``.

    ``member_ids`` (rows,) are numbers from 0 without a gap. ``own_ids`` (probes,) is the member that does not count for
    a probe; -1: all do. A distance is infinite, and its id meaningless, where there are fewer than ``k`` members or no
    finite distance below 1e150.
    """
    # Sort the columns by member, so that all columns of a member can be masked together.
    order = np.argsort(member_ids, kind="stable")
    first = np.searchsorted(member_ids[order], np.arange(member_ids.max(initial=-1) + 2))
    max_columns = int(np.diff(first).max(initial=0))
    columns, offsets = _ranking_columns(vectors[order].astype(np.float64), metric)
    neighbour_distances, neighbour_ids = np.empty((len(probes), k)), np.empty((len(probes), k), np.intp)
    step = max(1, BLOCK_PAIRS // max(1, len(vectors)))
    for start in range(0, len(probes), step):
        own = own_ids[start : start + step]
        lines = np.arange(len(own))
        block = probes[start : start + step].astype(np.float64)
        with np.errstate(all="ignore"):
            ranks = block @ columns.T
            ranks += offsets
            ranks[~(np.vecdot(block, block) < MAX_DISTANCE**2)] = math.inf

        def mask(lines: Indices, members: Indices, ranks: Vector = ranks) -> None:
            for i in range(max_columns):
                ranks[lines, np.minimum(first[members] + i, first[members + 1] - 1)] = math.inf

        mask(lines[own >= 0], own[own >= 0])
        for place in range(k):
            column = ranks.argmin(axis=1)
            exact = distances(vectors[order[column]], block, metric)
            exists = np.isfinite(ranks[lines, column]) & np.isfinite(exact)
            neighbour_distances[start + lines, place] = np.where(exists, exact, math.inf)
            neighbour_ids[start + lines, place] = member_ids[order[column]]
            mask(lines, member_ids[order[column]])
    # Rounding may have ranked nearly equal distances in the wrong order.
    by_distance = np.argsort(neighbour_distances, axis=1, kind="stable")
    return np.take_along_axis(neighbour_distances, by_distance, 1), np.take_along_axis(neighbour_ids, by_distance, 1)


def _ranking_columns(vectors: Vector, metric: Metric) -> tuple[Vector, Vector]:
    """A matrix M and offsets o such that ``probe @ M.T + o`` ranks the rows by their distance to any probe.

    Euclidean: |a - b|^2 = |a|^2 - 2ab + |b|^2, where the probe's |a|^2 is the same for all rows. Cosine: -ab / |b|.
    """
    with np.errstate(all="ignore"):
        squares = np.vecdot(vectors, vectors)
        scale = -2 if metric == "euclidean" else -1 / np.sqrt(squares)[:, None]
        valid = (squares < MAX_DISTANCE**2) & ((squares > 0) | (metric == "euclidean"))
        matrix = np.where(valid[:, None], vectors * scale, 0)
    return matrix, np.where(valid, squares if metric == "euclidean" else 0, math.inf)
