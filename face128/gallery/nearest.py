"""The faces nearest to a probe, in the exact order: the index proposes, the rows decide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sqlalchemy as sa

from face128.descriptors import Block, Vector, distances
from face128.engines import ModelCard
from face128.gallery.records import COLUMNS, Found, Record
from face128.gallery.replica import Replica
from face128.gallery.tables import faces

# float32 moves a distance by some 1e-7 of the numbers that it is made of; this is far more.
MARGIN = 1e-5
AT_ONCE = 8  # asked for at first: a person's four faces, and somebody else's
IN_ONE_QUERY = 500
_BY_ROW = sa.select(*COLUMNS).where(faces.c.id.in_(sa.bindparam("rows", expanding=True)))


def neighbours(
    connection: sa.Connection, replica: Replica, probe: Block | Vector, card: ModelCard, at_once: int = AT_ONCE
) -> Iterator[Found]:
    """All faces that may be compared, the nearest first and of equal distances the older; asked for as they are taken.

    The distance is the one that ``descriptors.distances`` defines. A face without a finite distance is left out.
    """
    given: set[int] = set()
    with np.errstate(over="ignore"):
        query = probe.astype(np.float32)
    reach = float(np.linalg.norm(probe))
    while True:
        ids, rough = replica.search(query, card, at_once)
        last = len(ids) < at_once
        # Beyond the last one that was proposed there may be others as near, as far as float32 can tell.
        sure = np.inf if last else float(rough[-1]) - MARGIN * (1 + float(rough[-1]) + reach)
        for found in _exact(connection, ids.tolist(), probe, card):
            if found.distance < sure and found.record.row not in given:
                given.add(found.record.row)
                yield found
        if last:
            return
        at_once *= 4


def _exact(connection: sa.Connection, ids: list[int], probe: Block | Vector, card: ModelCard) -> list[Found]:
    records = []
    for start in range(0, len(ids), IN_ONE_QUERY):
        rows = connection.execute(_BY_ROW, {"rows": ids[start : start + IN_ONE_QUERY]})
        records += [Record.of(row) for row in rows]
    if not records:
        return []
    exact = distances(np.array([record.descriptor for record in records]), probe, card.metric).tolist()
    found = [Found(record, distance) for record, distance in zip(records, exact, strict=True) if np.isfinite(distance)]
    return sorted(found, key=lambda one: (one.distance, one.record.row))
