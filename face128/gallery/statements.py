"""The SQL of several modules: what they read from the table of faces, and the changes, for ``Database.writing``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors, Matrix
from face128.domain.model_card import ModelCard
from face128.gallery.index import Ids
from face128.gallery.records import RECORD_COLUMNS, NewFace, Person, Record
from face128.gallery.tables import erased, faces, state

# Fewer rows than the garbage collector's threshold (700): a million faces are loaded in 5 s. With 10,000 rows, which
# it scans again and again, it takes 8 s.
BATCH_ROWS = 500
MAX_LISTED_VERSIONS = 10_000  # erasures of older versions are no longer listed: the whole table must be read


@dataclass(frozen=True)
class FaceBatch:
    """Stored faces, one row of each array for each. ``users`` and ``names`` are hashes, to save memory."""

    ids: Ids
    vectors: Matrix
    users: Ids
    names: Ids
    by_name: npt.NDArray[np.bool_]
    """Whether the face is a record: its name identifies the person."""


@dataclass(frozen=True)
class FaceOwners:
    """Who stored faces belong to: as FaceBatch, without descriptors."""

    ids: Ids
    users: Ids
    names: Ids
    by_name: npt.NDArray[np.bool_]
    models: list[str]


def stored_models(connection: sa.Connection) -> list[str]:
    """In alphabetical order."""
    return sorted(connection.scalars(sa.select(faces.c.model).distinct()))


def count_faces(connection: sa.Connection, condition: sa.ColumnElement[bool] = sa.true()) -> int:
    return connection.scalars(sa.select(sa.func.count()).select_from(faces).where(condition)).one()


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


def read_faces(connection: sa.Connection, dimension: int, condition: sa.ColumnElement[bool]) -> FaceBatch:
    """The faces that meet the condition, in any order."""
    columns = (faces.c.id, faces.c.embedding, faces.c.user_id, faces.c.name, faces.c.record_id)
    embeddings: list[bytes] = []
    numbers: list[tuple[int, int, int, bool]] = []
    wanted = sa.select(*columns).where(condition).execution_options(stream_results=True)
    for face_id, embedding, *owner in connection.execute(wanted):
        numbers.append((face_id, *_owner(*owner)))
        embeddings.append(embedding)
    vectors = np.frombuffer(b"".join(embeddings), "<f4").reshape(-1, dimension)
    ids, users, names, by_name = np.array(numbers, np.int64).reshape(-1, 4).T.copy()
    return FaceBatch(ids, vectors, users, names, by_name.astype(np.bool_))


def read_owners(connection: sa.Connection, condition: sa.ColumnElement[bool] = sa.true()) -> FaceOwners:
    """Who the faces that meet the condition belong to, without their descriptors; in any order."""
    columns = (faces.c.id, faces.c.model, faces.c.user_id, faces.c.name, faces.c.record_id)
    numbers: list[tuple[int, int, int, bool]] = []
    models: list[str] = []
    for face_id, model, *owner in connection.execute(sa.select(*columns).where(condition)):
        numbers.append((face_id, *_owner(*owner)))
        models.append(model)
    ids, users, names, by_name = np.array(numbers, np.int64).reshape(-1, 4).T.copy()
    return FaceOwners(ids, users, names, by_name.astype(np.bool_), models)


def _owner(user_id: str, name: str | None, record_id: str) -> tuple[int, int, bool]:
    # Python's hash has 64 bits and a secret of this process: two people do not collide.
    user = hash(("user", user_id))
    return user, hash(("name", name)) if name else user, user_id == record_id


def erased_ids(connection: sa.Connection, above: int) -> Ids:
    """The ids of the faces erased after a version."""
    return np.array(connection.scalars(sa.select(erased.c.face_id).where(erased.c.version > above)).all(), np.int64)


def last_erasure(connection: sa.Connection) -> int:
    """The version of the last erasure; 0 if there was none."""
    return connection.scalar(sa.select(sa.func.max(erased.c.version))) or 0


def of_user(connection: sa.Connection, user_id: str) -> sa.ColumnElement[bool]:
    """The condition for a user's faces; also for one whose stored id has bytes that are not UTF-8."""
    if "\\x" not in user_id:
        return faces.c.user_id == user_id
    rows = connection.execute(sa.select(faces.c.id, faces.c.user_id))
    return faces.c.id.in_([row.id for row in rows if row.user_id == user_id])


def next_version(connection: sa.Connection) -> int:
    """Take the number of this transaction's change."""
    connection.execute(sa.update(state).values(version=state.c.version + 1))
    version: int = connection.execute(sa.select(state.c.version)).scalar_one()
    return version


def add_faces(connection: sa.Connection, person: Person, new: Sequence[NewFace], card: ModelCard) -> list[Record]:
    """Store the faces that are not stored yet, and return the records of all of them, each once."""
    by_hash = {face.content_hash(person, card): face for face in new}
    records: dict[str, Record] = {}
    hashes = list(by_hash)
    for start in range(0, len(hashes), BATCH_ROWS):  # a database takes only so many values in one statement
        batch = hashes[start : start + BATCH_ROWS]
        wanted = sa.select(*RECORD_COLUMNS, faces.c.content_hash).where(faces.c.content_hash.in_(batch))
        stored = {row.content_hash for row in connection.execute(wanted)}
        if missing := [by_hash[content] for content in batch if content not in stored]:
            version = next_version(connection)
            connection.execute(sa.insert(faces), [face.table_row(person, card, version) for face in missing])
        records |= {row.content_hash: Record.from_row(row) for row in connection.execute(wanted)}
    return [records[content] for content in by_hash]


def resolve_person(connection: sa.Connection, person: Person, is_number: bool | None = None) -> Person:
    """Give the person's stored faces the name given now, and the kind of regNo if ``is_number`` says which.

    Returns the person as they are stored. A renamed face counts as changed: a record of that name may now be the same
    person.
    """
    of_person = faces.c.user_id == person.user_id
    stored = connection.execute(sa.select(faces.c.is_number, faces.c.name).where(of_person)).all()
    if is_number is None:
        is_number = bool(stored[0].is_number) if stored else person.numeric
    if any((row.name, bool(row.is_number)) != (person.name, is_number) for row in stored):
        changed = of_person & (faces.c.name.is_distinct_from(person.name) | (faces.c.is_number != is_number))
        values = {"name": person.name, "is_number": is_number, "version": next_version(connection)}
        connection.execute(sa.update(faces).where(changed).values(values))
    return replace(person, numeric=is_number)


def erase_faces(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Record]:
    """Erase the faces that meet the condition, and return their records, without descriptors."""
    no_descriptor = sa.literal(b"")  # or a copy would stay in this process's memory
    columns = [no_descriptor if column is faces.c.embedding else column for column in RECORD_COLUMNS]
    records = [Record.from_row(row) for row in connection.execute(sa.select(*columns).where(condition))]
    if records:
        version = next_version(connection)
        complete_from = version - MAX_LISTED_VERSIONS
        connection.execute(sa.delete(faces).where(condition))
        connection.execute(sa.insert(erased), [{"face_id": record.face_id, "version": version} for record in records])
        connection.execute(sa.delete(erased).where(erased.c.version <= complete_from))
        outdated = state.c.complete_from < complete_from
        connection.execute(sa.update(state).where(outdated).values(complete_from=complete_from))
    return records
