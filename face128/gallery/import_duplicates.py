"""Whether the faces of a file are also somebody else's: all are compared with each other, and with the stored ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Matrix, distance
from face128.domain.model_card import ModelCard
from face128.errors import Duplicate
from face128.gallery.index import normalised
from face128.gallery.records import Person
from face128.gallery.space_rows import Embeddings, read_descriptors
from face128.gallery.stored_space import StoredSpace, vectors_of
from face128.gallery.tables import faces

BLOCK_FACES = 256  # new faces compared with all others at once
FLOAT32_MARGIN = 1e-3  # far above float32's error; the exact distance decides


def refuse_duplicates(
    connection: sa.Connection, new: Sequence[dict[str, Any]], photos: Sequence[Embeddings], cards: list[ModelCard]
) -> None:
    """Raise Duplicate for the first of the new rows within the threshold of another person's, stored or new.

    ``photos`` are the descriptors of the new rows. Two are compared by the first of the ``cards`` that both have.
    """
    spaces = [StoredSpace.of(card) for card in cards]
    columns = (faces.c.id, faces.c.user_id, faces.c.name, faces.c.record_id, faces.c.model, faces.c.embedding)
    stored = connection.execute(sa.select(*columns)).mappings().all()
    rows: list[Any] = [*stored, *new]
    all_photos = [
        *read_descriptors(connection, [(row["id"], row["model"], row["embedding"]) for row in stored]),
        *photos,
    ]
    for card, space in zip(cards, spaces, strict=True):
        names = [space.model_of(photo) for photo in all_photos]
        places = [place for place, name in enumerate(names) if name is not None]
        first_new = sum(place < len(stored) for place in places)
        if first_new == len(places):
            continue
        vectors = vectors_of([names[place] or "" for place in places], [all_photos[place] for place in places])
        before = spaces[: spaces.index(space)]
        for one, other in _near_pairs(vectors, first_new, card):
            a, b = places[one], places[other]
            if _person(rows[a]).same_as(_person(rows[b])) or _share_any(all_photos[a], all_photos[b], before):
                continue
            if (exact := distance(vectors[one], vectors[other], card.metric)) <= card.threshold:
                labels = " and ".join(row["name"] or row["user_id"] for row in (rows[a], rows[b]))
                context = {"user_id": rows[b]["user_id"], "name": rows[b]["name"], "distance": exact}
                raise Duplicate(f"{labels} have one face. If that is right: --force", **context)


def _near_pairs(vectors: Matrix, first_new: int, card: ModelCard) -> Iterator[tuple[int, int]]:
    """The rows from ``first_new`` on, each with all other rows that may be within the threshold."""
    compared = vectors.astype(np.float32, copy=False)
    if card.metric == "cosine":
        compared = normalised(compared)
    radius = card.threshold + FLOAT32_MARGIN
    max_square = 2 * radius if card.metric == "cosine" else radius * radius
    norms = np.vecdot(compared, compared)
    for start in range(first_new, len(vectors), BLOCK_FACES):
        block = slice(start, start + BLOCK_FACES)
        squares = norms[block, None] + norms - 2 * compared[block] @ compared.T
        for offset, other in np.argwhere(squares <= max_square).tolist():
            if start + offset != other:
                yield start + offset, other


def _share_any(one: Embeddings, other: Embeddings, spaces: Sequence[StoredSpace]) -> bool:
    return any(space.model_of(one) is not None and space.model_of(other) is not None for space in spaces)


def _person(row: Any) -> Person:
    return Person.from_row(row["user_id"], row["name"], False, row["record_id"])
