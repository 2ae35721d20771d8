"""The faces nearest to a probe, in the exact order: an index finds candidates, their rows in the table decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Matrix, Vector, distances
from face128.domain.model_card import ModelCard
from face128.gallery.database import fetch_all
from face128.gallery.index_sync import Search
from face128.gallery.records import RECORD_COLUMNS, Record, SearchHit

Probe = Matrix | Vector

# Relative: float32 changes a distance by about 1e-7 of the numbers that it is computed from.
FLOAT32_MARGIN = 1e-5
FIRST_CANDIDATES = 8  # enough for four faces of one person, and another person's
MAX_QUERY_IDS = 500
_BY_ID = f"SELECT {', '.join(column.name for column in RECORD_COLUMNS)} FROM faces WHERE id IN"  # noqa: S608  (constant)


def nearest_faces(
    connection: sa.Connection,
    search: Search,
    probe: Probe,
    card: ModelCard,
    candidates: int = FIRST_CANDIDATES,
) -> Iterator[SearchHit]:
    """All comparable faces, nearest first, and of equal distances the older first; read as they are consumed.

    The distance is that of ``descriptors.distances``. A face without a finite distance is left out. The first search
    is for so many ``candidates``.
    """
    found: set[int] = set()
    with np.errstate(over="ignore"):
        query = probe.astype(np.float32)
    length = float(np.linalg.norm(probe))
    while True:
        ids, approximate = search(query, card, candidates)
        complete = len(ids) < candidates
        # Faces that were not proposed may be as near as the last candidate, within float32's error.
        certain_below = np.inf if complete else lower_bound(float(approximate[-1]), length)
        for distance, row in _with_exact_distances(connection, ids.tolist(), probe, card):
            if distance < certain_below and row[0] not in found:
                found.add(row[0])
                yield SearchHit(Record.from_row(row), distance)
        if complete:
            return
        candidates *= 4


def lower_bound(approximate: float, length: float) -> float:
    """The least exact distance behind an index's ``approximate`` one, for a probe vector of this length."""
    return approximate - FLOAT32_MARGIN * (1 + approximate + length)


def _with_exact_distances(
    connection: sa.Connection, ids: list[int], probe: Probe, card: ModelCard
) -> list[tuple[float, tuple[Any, ...]]]:
    """The rows with their exact distances, by distance and id. A row that was erased meanwhile is left out."""
    rows = []
    for start in range(0, len(ids), MAX_QUERY_IDS):
        block = ", ".join(map(str, ids[start : start + MAX_QUERY_IDS]))  # integers from the index: safe in SQL
        rows += fetch_all(connection, f"{_BY_ID} ({block})")
    vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(len(rows), card.dimension)
    exact = distances(vectors, probe, card.metric).tolist() if rows else []
    return sorted(zip(exact, rows, strict=True), key=lambda pair: (pair[0], pair[1][0]))
