"""What the indexes read from the tables: the photos that can be compared in one space, all or those that have changed.

The id of a photo, that of its row in ``faces``, is its id in each space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from face128.domain.descriptors import Matrix
from face128.gallery.rows.statements import BATCH_ROWS
from face128.gallery.rows.stored_photos import (
    OPENING,
    SealedPhoto,
    opened_companions,
    opened_descriptors,
    opened_photos,
    require_in_clear,
)
from face128.gallery.rows.stored_rows import Embeddings, Owner, vault_of
from face128.gallery.rows.stored_space import StoredSpace, names_of, vectors_of
from face128.gallery.search.index import Ids
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import fetch_all
from face128.gallery.storage.tables import collection_of, companions, faces, in_collection, in_collection_sql

StoredPhoto = tuple[int, Embeddings, Owner]
"""The id of a photo, its descriptors, and its owner: the user_id, the name and the id of the record."""


@dataclass(frozen=True)
class FaceBatch:
    """Stored photos in one space, one row of each array for each.

    ``users`` and ``names`` are hashes, to save memory.
    """

    ids: Ids
    vectors: Matrix
    users: Ids
    names: Ids
    by_name: npt.NDArray[np.bool_]
    """Whether the face is a record: its name identifies the person."""


@dataclass(frozen=True)
class FaceOwners:
    """Who stored photos belong to: as FaceBatch, without descriptors."""

    ids: Ids
    users: Ids
    names: Ids
    by_name: npt.NDArray[np.bool_]
    models: list[str]
    """The name that each has in the space; without a space, the models of all its descriptors, joined by spaces."""


def has_companions(connection: sa.Connection) -> bool:
    own = f"collection = '{collection_of(connection)}'"  # without a sign: there is an index
    return bool(fetch_all(connection, f"SELECT face_id FROM companions WHERE {own} LIMIT 1"))  # noqa: S608


def read_vectors(
    connection: sa.Connection, space: StoredSpace, above: int | None = None
) -> Iterator[tuple[str, Ids, Matrix]]:
    """Names, ids and descriptors of all photos, or of those changed above a version; each batch is of one name."""
    if has_companions(connection):
        for name, photos in photo_batches(connection, space, above):
            ids, descriptors, _ = zip(*photos, strict=True)
            yield name, np.array(ids, np.int64), vectors_of([name] * len(ids), descriptors)
        return
    for rows in _own_descriptors(connection, space, above):
        for model in {row[1] for row in rows}:
            ids, _, embeddings = zip(*(row for row in rows if row[1] == model), strict=True)
            yield model, np.array(ids, np.int64), np.frombuffer(b"".join(embeddings), "<f4").reshape(len(ids), -1)


def read_all_vectors(connection: sa.Connection, above: int | None = None) -> Iterator[tuple[str, Ids, Matrix]]:
    """As ``read_vectors``, in all spaces that there are."""
    photos = _photos(connection, None, above)
    while batch := list(islice(photos, BATCH_ROWS)):
        by_name: dict[str, list[StoredPhoto]] = {}
        for photo in batch:
            for name in names_of(photo[1]):
                by_name.setdefault(name, []).append(photo)
        for name, own in by_name.items():
            ids, descriptors, _ = zip(*own, strict=True)
            yield name, np.array(ids, np.int64), vectors_of([name] * len(ids), descriptors)


def ids_by_name(connection: sa.Connection, above: int | None = None) -> dict[str, Ids]:
    """The ids of the photos in each space, or of those changed above a version, by the names that they have there."""
    ids: dict[str, list[int]] = {}
    for face_id, photo, _ in _photos(connection, None, above, embeddings=False):
        for name in names_of(photo):
            ids.setdefault(name, []).append(face_id)
    return {name: np.array(own, np.int64) for name, own in ids.items()}


def read_photos(connection: sa.Connection, above: int | None = None) -> Iterator[StoredPhoto]:
    """All photos with all their descriptors and their owners, or those changed above a version."""
    return _photos(connection, None, above)


def read_owners(connection: sa.Connection, space: StoredSpace | None, above: int | None = None) -> FaceOwners:
    """Who the photos belong to, without their descriptors; in any order."""
    numbers: list[tuple[int, int, int, bool]] = []
    models: list[str] = []
    if vault_of(connection) is not None or has_companions(connection):
        for face_id, photo, owner in _photos(connection, space, above, embeddings=False):
            name = " ".join(sorted(photo)) if space is None else space.model_of(photo)
            if name is not None:
                numbers.append((face_id, *owner_numbers(*owner)))
                models.append(name)
    else:
        for rows in _own_rows(connection, space, above, f"id, model, {_OWNER_COLUMNS}"):
            for face_id, model, *owner in rows:
                numbers.append((face_id, *owner_numbers(*owner)))
                models.append(model)
    ids, users, names, by_name = np.array(numbers, np.int64).reshape(-1, 4).T.copy()
    return FaceOwners(ids, users, names, by_name.astype(np.bool_), models)


def read_faces(connection: sa.Connection, space: StoredSpace, above: int | None = None) -> FaceBatch:
    """The photos with their owners, in any order."""
    numbers: list[tuple[int, int, int, bool]] = []
    blocks: list[Matrix] = []
    for name, photos in photo_batches(connection, space, above):
        numbers += [(face_id, *owner_numbers(*owner)) for face_id, _, owner in photos]
        blocks.append(vectors_of([name] * len(photos), [descriptors for _, descriptors, _ in photos]))
    ids, users, names, by_name = np.array(numbers, np.int64).reshape(-1, 4).T.copy()
    vectors: Any = np.concatenate(blocks) if blocks else np.empty((0, space.dimension))
    return FaceBatch(ids, vectors, users, names, by_name.astype(np.bool_))


def count_photos(connection: sa.Connection, space: StoredSpace, above: int | None = None) -> int:
    """The number of photos that can be compared in the space; of those changed above a version, at most so many."""
    if above is None and not (space.of_pairs or has_companions(connection)):
        wanted = sa.select(sa.func.count()).select_from(faces).where(faces.c.model.in_(space.models))
        return connection.scalars(wanted.where(in_collection(connection, whole=True))).one()
    if above is None:
        return sum(space.model_of(photo) is not None for _, photo, _ in _photos(connection, space, None, False))
    changed = [(table.c.version > above) & in_collection(connection, table) for table in _TABLES]
    return sum(connection.scalars(sa.select(sa.func.count()).where(condition)).one() for condition in changed)


def count_changes(connection: sa.Connection, above: int) -> tuple[int, int]:
    """How many photos were changed above a version, at most, and how many erased, in any collection."""
    own = in_collection_sql(connection)
    counts = [f"(SELECT count(*) FROM {table} WHERE version > {above} AND {own})" for table in ("faces", "companions")]  # noqa: S608
    erased_count = f"(SELECT count(*) FROM erased WHERE version > {above})"  # noqa: S608
    changed, changed_companions, gone = fetch_all(connection, f"SELECT {', '.join([*counts, erased_count])}")[0]
    return changed + changed_companions, gone


def erased_ids(connection: sa.Connection, above: int) -> Ids:
    """The ids of the photos erased after a version."""
    rows = fetch_all(connection, f"SELECT face_id FROM erased WHERE version > {above}")  # noqa: S608
    return np.array(rows, np.int64).reshape(-1)


def read_descriptors(connection: sa.Connection, rows: Iterable[tuple[int, str, bytes]]) -> list[Embeddings]:
    """All descriptors of photos, whose ids, models and embeddings are given."""
    photos = {face_id: {model: embedding} for face_id, model, embedding in rows}
    if has_companions(connection):
        _add_companions(connection, photos)
    return list(photos.values())


def read_descriptors_in(
    connection: sa.Connection, rows: Iterable[tuple[int, str, bytes]], space: StoredSpace
) -> list[Embeddings]:
    """As ``read_descriptors``, only those that the space needs; usually they are given."""
    photos = {face_id: {model: embedding} for face_id, model, embedding in rows}
    if space.of_pairs or any(space.models.isdisjoint(photo) for photo in photos.values()):
        _add_companions(connection, photos)
    return list(photos.values())


def _add_companions(connection: sa.Connection, photos: dict[int, Embeddings]) -> None:
    own = in_collection_sql(connection)
    for block in _blocks(list(photos)):
        wanted = f"SELECT face_id, model, embedding FROM companions WHERE face_id IN ({block}) AND {own}"  # noqa: S608
        for face_id, model, embedding in opened_companions(connection, fetch_all(connection, wanted)):
            photos[face_id][model] = embedding


def companion_models(connection: sa.Connection, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The models of the companions of those of these photos that have any."""
    found: dict[int, tuple[str, ...]] = {}
    own = in_collection_sql(connection)
    for block in _blocks(ids) if has_companions(connection) else ():
        condition = f"face_id IN ({block}) AND {own} ORDER BY face_id, model"
        for face_id, model in fetch_all(connection, f"SELECT face_id, model FROM companions WHERE {condition}"):  # noqa: S608
            found[face_id] = (*found.get(face_id, ()), model)
    return found


def read_embeddings(connection: sa.Connection, ids: Sequence[int]) -> list[tuple[int, str, bytes]]:
    """The ids, models and descriptors of these photos. One that was erased, or cannot be opened, is left out."""
    if vault_of(connection) is not None:
        return opened_descriptors(connection, read_by_id(connection, OPENING, ids))
    in_clear = read_by_id(connection, "id, model, embedding, key_id", ids)
    require_in_clear(row[3] for row in in_clear)
    return [(row[0], row[1], row[2]) for row in in_clear]


def read_by_id(connection: sa.Connection, columns: str, ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """These columns of the photos with these ids. One that was erased meanwhile is left out."""
    rows: list[tuple[Any, ...]] = []
    own = in_collection_sql(connection)
    for block in _blocks(ids):
        rows += fetch_all(connection, f"SELECT {columns} FROM faces WHERE id IN ({block}) AND {own}")  # noqa: S608
    return rows


_TABLES = faces, companions
_OWNER = faces.c.user_id, faces.c.name, faces.c.record_id
_OWNER_COLUMNS = ", ".join(column.name for column in _OWNER)


def _blocks(ids: Sequence[int]) -> Iterator[str]:
    return (", ".join(map(str, block)) for block in in_blocks(ids))  # integers: safe in SQL


def photo_batches(
    connection: sa.Connection, space: StoredSpace, above: int | None
) -> Iterator[tuple[str, list[StoredPhoto]]]:
    """The photos of the space, some hundreds at a time, by the name that they have there."""
    photos = _photos(connection, space, above)
    while batch := list(islice(photos, BATCH_ROWS)):
        by_name: dict[str, list[StoredPhoto]] = {}
        for photo in batch:
            if (name := space.model_of(photo[1])) is not None:
                by_name.setdefault(name, []).append(photo)
        yield from by_name.items()


def _photos(
    connection: sa.Connection, space: StoredSpace | None, above: int | None, embeddings: bool = True
) -> Iterator[StoredPhoto]:
    """The photos with a descriptor that the space may need. The whole gallery is in the order of their ids."""
    stored = _stored_photos(connection, space, above, embeddings)
    if vault_of(connection) is None:
        for photo in stored:
            require_in_clear(photo[3:])
            yield photo[:3]
        return
    while batch := list(islice(stored, BATCH_ROWS)):
        yield from opened_photos(connection, batch)


def _stored_photos(
    connection: sa.Connection, space: StoredSpace | None, above: int | None, embeddings: bool
) -> Iterator[SealedPhoto]:
    if not has_companions(connection):
        embedding_column = "embedding" if embeddings else "''"
        for batch in _own_rows(connection, space, above, f"id, model, {embedding_column}, {_OWNER_COLUMNS}, key_id"):
            for face_id, model, embedding, *owner, key_id in batch:
                yield face_id, {model: embedding}, tuple(owner), key_id
        return
    nothing: Any = sa.literal(b"")
    own = faces.c.id, faces.c.model, faces.c.embedding if embeddings else nothing
    others = companions.c.model, companions.c.embedding if embeddings else nothing
    joined = faces.outerjoin(companions, companions.c.face_id == faces.c.id)
    whole = in_collection(connection, whole=above is None)
    wanted = sa.select(*own, *others, *_OWNER, faces.c.key_id).select_from(joined).where(whole).order_by(faces.c.id)
    rows = _rows(connection, wanted) if above is None else _changed_rows(connection, wanted, above)
    for face_id, of_photo in groupby(rows, key=itemgetter(0)):
        joined_rows = list(of_photo)
        _, model, embedding, _, _, *of, key_id = joined_rows[0]
        others_of_photo = {row[3]: row[4] for row in joined_rows if row[3] is not None}
        yield face_id, {model: embedding} | others_of_photo, tuple(of), key_id


def _rows(connection: sa.Connection, wanted: sa.Select[Any]) -> Iterator[Any]:
    for rows in connection.execute(wanted.execution_options(stream_results=True)).partitions(BATCH_ROWS):
        yield from rows


def _changed_rows(connection: sa.Connection, wanted: sa.Select[Any], above: int) -> Iterator[Any]:
    """By their ids: SQLite would read all of ``faces`` for a join with those that have changed."""
    changed: set[int] = set()
    for face_id, table in ((faces.c.id, faces), (companions.c.face_id, companions)):
        condition = (table.c.version > above) & in_collection(connection, table)
        changed.update(connection.scalars(sa.select(face_id).where(condition)))
    for block in in_blocks(sorted(changed)):
        yield from connection.execute(wanted.where(faces.c.id.in_(block)))


def _own_descriptors(
    connection: sa.Connection, space: StoredSpace, above: int | None
) -> Iterator[list[tuple[int, str, bytes]]]:
    """The ids, models and descriptors of the photos, some hundreds at a time, where no photo has companions."""
    if vault_of(connection) is not None:
        for rows in _own_rows(connection, space, above, OPENING):
            yield opened_descriptors(connection, rows)
        return
    for rows in _own_rows(connection, space, above, "id, model, embedding, key_id"):
        require_in_clear(row[3] for row in rows)
        yield [(face_id, model, embedding) for face_id, model, embedding, _ in rows]


def _own_rows(
    connection: sa.Connection, space: StoredSpace | None, above: int | None, columns: str
) -> Iterator[list[Any]]:
    """These columns of the photos, some hundreds at a time, where no photo has companions. The second is the model."""
    wanted = f"SELECT {columns} FROM faces WHERE {in_collection_sql(connection, whole=above is None)}"  # noqa: S608
    if above is None:
        whole = sa.text(f"{wanted} ORDER BY id")
        if space is not None:
            named: Any = sa.bindparam("models", list(space.models), expanding=True)
            whole = sa.text(f"{wanted} AND model IN :models ORDER BY id").bindparams(named)
        for batch in connection.execute(whole, execution_options={"stream_results": True}).partitions(BATCH_ROWS):
            yield list(batch)
        return
    # Not sorted: to sort them, SQLite would read the whole table instead of the index on version.
    changed = fetch_all(connection, f"{wanted} AND version > {above}")
    for start in range(0, len(changed), BATCH_ROWS):
        batch_of_all = changed[start : start + BATCH_ROWS]
        yield [row for row in batch_of_all if space is None or row[1] in space.models]


def owner_numbers(user_id: str, name: str | None, record_id: str) -> tuple[int, int, bool]:
    # Python's hash has 64 bits and a secret of this process: two people do not collide.
    user = hash(("user", user_id))
    return user, hash(("name", name)) if name else user, user_id == record_id
