"""Finds two people with one face in an import, before any of it is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import distance
from face128.domain.model_card import ModelCard
from face128.errors import Duplicate
from face128.gallery.index import normalised
from face128.gallery.index_sync import comparable_models
from face128.gallery.records import Person
from face128.gallery.tables import faces

BLOCK_FACES = 256  # new faces compared with all others at once
FLOAT32_MARGIN = 1e-3  # far above float32's error; the exact distance decides


def refuse_duplicates(connection: sa.Connection, new: list[dict[str, Any]], card: ModelCard) -> None:
    """Raise Duplicate for the first of the new rows within the threshold of another person's, stored or new."""
    if not new:
        return
    columns = (faces.c.user_id, faces.c.name, faces.c.record_id, faces.c.embedding)
    stored = connection.execute(sa.select(*columns).where(faces.c.model.in_(comparable_models(card)))).mappings().all()
    rows: list[Any] = [*stored, *new]
    vectors = np.frombuffer(b"".join(row["embedding"] for row in rows), "<f4").reshape(-1, card.dimension)
    compared = normalised(vectors) if card.metric == "cosine" else vectors
    radius = card.threshold + FLOAT32_MARGIN
    max_square = 2 * radius if card.metric == "cosine" else radius * radius
    norms = np.vecdot(compared, compared)
    for start in range(len(stored), len(rows), BLOCK_FACES):
        block = slice(start, start + BLOCK_FACES)
        squares = norms[block, None] + norms - 2 * compared[block] @ compared.T
        for offset, other in zip(*np.nonzero(squares <= max_square), strict=True):
            one = start + offset
            a, b = rows[one], rows[other]
            if one == other or _person(a).same_as(_person(b)):
                continue
            if (exact := distance(vectors[one], vectors[other], card.metric)) <= card.threshold:
                raise Duplicate(
                    f"{_label(a)} and {_label(b)} have one face. If that is right: --force",
                    user_id=b["user_id"],
                    name=b["name"],
                    distance=exact,
                )


def _person(row: Any) -> Person:
    return Person(row["name"], row["user_id"], by_name=row["record_id"] == row["user_id"])


def _label(row: Any) -> str:
    return str(row["name"] or row["user_id"])
