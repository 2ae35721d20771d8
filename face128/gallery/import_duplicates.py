"""Two people with one face: found in a whole file before any of it is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import distance
from face128.domain.model_card import ModelCard
from face128.errors import Duplicate
from face128.gallery.index import directions
from face128.gallery.index_sync import comparable
from face128.gallery.records import Person
from face128.gallery.tables import faces

BLOCK = 256  # faces compared with all others at once
MARGIN = 1e-3  # what float32 may be off, and far more; the exact distance decides


def refuse_overlaps(connection: sa.Connection, new: list[dict[str, Any]], card: ModelCard) -> None:
    """Raise Duplicate for the first of the new rows that is within the threshold of another person's, old or new."""
    columns = (faces.c.user_id, faces.c.name, faces.c.record_id, faces.c.embedding)
    stored = connection.execute(sa.select(*columns).where(faces.c.model.in_(comparable(card)))).mappings().all()
    everybody: list[Any] = [*stored, *new]
    if not new:
        return
    vectors = np.frombuffer(b"".join(row["embedding"] for row in everybody), "<f4").reshape(-1, card.dimension)
    directed = directions(vectors) if card.metric == "cosine" else vectors
    reach = card.threshold + MARGIN
    most = 2 * reach if card.metric == "cosine" else reach * reach
    squares = np.vecdot(directed, directed)
    for start in range(len(stored), len(everybody), BLOCK):
        block = slice(start, start + BLOCK)
        rough = squares[block, None] + squares - 2 * directed[block] @ directed.T
        for one, other in zip(*np.nonzero(rough <= most), strict=True):
            a, b = everybody[start + one], everybody[other]
            near = start + one != other and not _person(a).same_as(_person(b))
            if near and (exact := distance(vectors[start + one], vectors[other], card.metric)) <= card.threshold:
                raise Duplicate(
                    f"{_called(a)} and {_called(b)} have one face. If that is right: --force",
                    user_id=b["user_id"],
                    name=b["name"],
                    distance=exact,
                )


def _person(row: Any) -> Person:
    return Person(row["name"], row["user_id"], by_name=row["record_id"] == row["user_id"])


def _called(row: Any) -> str:
    return str(row["name"] or row["user_id"])
