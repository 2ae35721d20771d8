"""The faces nearest to a probe, in the exact order: an index or a cohort proposes, the rows decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Block, Vector, distances
from face128.domain.model_card import ModelCard
from face128.gallery.database import plainly
from face128.gallery.index_sync import Proposer
from face128.gallery.records import COLUMNS, Found, Record

# float32 moves a distance by some 1e-7 of the numbers that it is made of; this is far more.
MARGIN = 1e-5
AT_ONCE = 8  # asked for at first: a person's four faces, and somebody else's
IN_ONE_QUERY = 500
_BY_ROW = f"SELECT {', '.join(column.name for column in COLUMNS)} FROM faces WHERE id IN"  # noqa: S608  (no input)


def neighbours(
    connection: sa.Connection, proposer: Proposer, probe: Block | Vector, card: ModelCard, at_once: int = AT_ONCE
) -> Iterator[Found]:
    """All faces that may be compared, the nearest first and of equal distances the older; asked for as they are taken.

    The distance is the one that ``descriptors.distances`` defines. A face without a finite distance is left out.
    """
    given: set[int] = set()
    with np.errstate(over="ignore"):
        query = probe.astype(np.float32)
    reach = float(np.linalg.norm(probe))
    while True:
        ids, rough = proposer.search(query, card, at_once)
        last = len(ids) < at_once
        # Beyond the last one that was proposed there may be others as near, as far as float32 can tell.
        sure = np.inf if last else at_least(float(rough[-1]), reach)
        for distance, row in _exact(connection, ids.tolist(), probe, card):
            if distance < sure and row[0] not in given:
                given.add(row[0])
                yield Found(Record.of(row), distance)
        if last:
            return
        at_once *= 4


def at_least(rough: float, reach: float) -> float:
    """The distance that is surely reached where an index says ``rough``, of a probe of length ``reach``."""
    return rough - MARGIN * (1 + rough + reach)


def _exact(
    connection: sa.Connection, ids: list[int], probe: Block | Vector, card: ModelCard
) -> list[tuple[float, tuple[Any, ...]]]:
    """The rows with their exact distances, in the order that counts. A row that was erased meanwhile is not there."""
    rows = []
    for start in range(0, len(ids), IN_ONE_QUERY):
        some = ", ".join(map(str, ids[start : start + IN_ONE_QUERY]))  # integers, and the index's own
        rows += plainly(connection, f"{_BY_ROW} ({some})")
    vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(len(rows), card.dimension)
    exact = distances(vectors, probe, card.metric).tolist() if rows else []
    return sorted(zip(exact, rows, strict=True), key=lambda one: (one[0], one[1][0]))
