"""What several modules read from the table of faces, and the descriptors as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors
from face128.gallery.index import Ids
from face128.gallery.tables import faces

# Fewer rows than the garbage collector's threshold (700): a million faces are loaded in 5 s. With 10,000 rows, which
# it scans again and again, it takes 8 s.
BATCH_ROWS = 500


def stored_models(connection: sa.Connection) -> list[str]:
    """The models of all faces, in alphabetical order."""
    return sorted(connection.scalars(sa.select(faces.c.model).distinct()))


def count_faces(connection: sa.Connection, condition: sa.ColumnElement[bool] | None = None) -> int:
    """The number of faces, or of those that meet the condition."""
    count = sa.select(sa.func.count()).select_from(faces)
    number: int = connection.execute(count if condition is None else count.where(condition)).scalar_one()
    return number


def read_vectors(connection: sa.Connection, above: int | None = None) -> Iterator[tuple[str, Ids, Descriptors]]:
    """Model, face ids and descriptors of all faces, or of those added above a version; each batch is of one model."""
    wanted = sa.select(faces.c.id, faces.c.model, faces.c.embedding)
    # New faces are not sorted: to sort them, SQLite would read the whole table instead of the index on version.
    wanted = wanted.order_by(faces.c.id) if above is None else wanted.where(faces.c.version > above)
    result = connection.execute(wanted.execution_options(stream_results=True))
    for batch in result.partitions(BATCH_ROWS):
        for model in {row[1] for row in batch}:
            ids, _, embeddings = zip(*(row for row in batch if row[1] == model), strict=True)
            yield model, np.array(ids, np.int64), np.frombuffer(b"".join(embeddings), "<f4").reshape(len(ids), -1)


@dataclass(frozen=True)
class FaceBatch:
    """Stored faces, one row of each array for each. ``users`` and ``names`` are hashes, to save memory."""

    ids: Ids
    vectors: Descriptors
    users: Ids
    names: Ids
    by_name: npt.NDArray[np.bool_]
    """Whether the face is a record: its name identifies the person."""


def read_faces(connection: sa.Connection, dimension: int, condition: sa.ColumnElement[bool]) -> FaceBatch:
    """The faces that meet the condition, in any order."""
    columns = (faces.c.id, faces.c.embedding, faces.c.user_id, faces.c.name, faces.c.record_id)
    result = connection.execute(sa.select(*columns).where(condition).execution_options(stream_results=True))
    found: list[tuple[int, int, int, bool]] = []
    vectors = [np.empty((0, dimension), np.float32)]
    for batch in result.partitions(BATCH_ROWS):
        vectors.append(np.frombuffer(b"".join(row[1] for row in batch), "<f4").reshape(len(batch), -1))
        for face_id, _, user_id, name, record_id in batch:
            # Python's hash has 64 bits and a secret of this process: two people do not collide.
            user = hash(("user", user_id))
            found.append((face_id, user, hash(("name", name)) if name else user, user_id == record_id))
    ids, users, names, by_name = zip(*found, strict=True) if found else ((), (), (), ())
    return FaceBatch(
        np.array(ids, np.int64),
        np.concatenate(vectors),
        np.array(users, np.int64),
        np.array(names, np.int64),
        np.array(by_name, np.bool_),
    )
