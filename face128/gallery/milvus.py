"""Finds the nearest descriptors with Milvus: a collection a model, which all services of one gallery share."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import sqlalchemy as sa
from pymilvus import DataType, MilvusClient, MilvusException

from face128.domain.descriptors import Descriptors, Metric
from face128.domain.model_card import ModelCard
from face128.errors import DatabaseAway
from face128.gallery.database import Database
from face128.gallery.index import Distances, Ids, directions, true_distances
from face128.gallery.index_sync import apply_added, comparable, merge, metric, rows
from face128.gallery.tables import erased, faces, state

log = logging.getLogger("face128")

MOST = 16_384  # neighbours: what Milvus gives at once
BATCH = 1_000  # rows sent at once: half a megabyte
TIMEOUT = 30  # seconds

# FLAT compares with every vector, as FAISS does in the process. What was acknowledged before is seen: Strong.
INDEX = {"index_type": "FLAT", "metric_type": "L2"}
FRESH = {"consistency_level": "Strong", "timeout": TIMEOUT}


class MilvusIndex:
    """One collection; see index.Index."""

    def __init__(self, client: MilvusClient, collection: str, metric: Metric, dimension: int | None = None) -> None:
        """Open the collection, or make it where a dimension is given."""
        self._client, self._name, self._metric = client, collection, metric
        if dimension is not None and not client.has_collection(collection):
            schema = client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            index = client.prepare_index_params()
            index.add_index("vector", **INDEX)
            client.create_collection(collection, schema=schema, index_params=index, consistency_level="Strong")
        client.load_collection(collection)

    def __len__(self) -> int:
        return int(self._client.query(self._name, filter="", output_fields=["count(*)"], **FRESH)[0]["count(*)"])

    def ids(self) -> Ids:
        found: list[int] = []
        pages = self._client.query_iterator(self._name, batch_size=MOST, output_fields=["id"], **FRESH)
        while page := pages.next():
            found += [row["id"] for row in page]
        pages.close()
        return np.sort(np.array(found, np.int64))

    def add(self, ids: Ids, vectors: Descriptors) -> None:
        ready = directions(vectors) if self._metric == "cosine" else vectors
        data = [{"id": number, "vector": vector} for number, vector in zip(ids.tolist(), ready, strict=True)]
        for start in range(0, len(data), BATCH):
            self._client.upsert(self._name, data[start : start + BATCH], timeout=TIMEOUT)

    def remove(self, ids: Ids) -> None:
        for start in range(0, len(ids), BATCH):
            self._client.delete(self._name, ids=ids[start : start + BATCH].tolist(), timeout=TIMEOUT)

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        query = (directions(vector[None]) if self._metric == "cosine" else vector[None]).astype(np.float32)
        if not np.isfinite(query).all():
            return np.empty(0, np.int64), np.empty(0)
        found = self._client.search(self._name, data=list(query), limit=min(k, MOST), **FRESH)[0]
        squares = np.array([one["distance"] for one in found], np.float32)
        return np.array([one["id"] for one in found], np.int64), true_distances(squares, self._metric)


class MilvusReplica:
    """The collections of one gallery; the version that they stand at is kept in the database. See replica.Replica."""

    def __init__(self, uri: str, database: Database) -> None:
        with _told():
            self._client = MilvusClient(uri=uri, timeout=TIMEOUT)
        self._database = database
        self._indexes: dict[str, MilvusIndex] = {}
        self._compared = False
        self._prefix = ""

    def catch_up(self, connection: sa.Connection) -> None:
        now = connection.execute(sa.select(state.c.version, state.c.indexed)).one()
        if self._compared and now.indexed == now.version:
            return
        with _told():
            if self._database.is_writing(connection):
                self._apply(connection)
            else:
                with self._database.writing() as alone:
                    self._apply(alone)

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        with _told():
            there = [self._index(name) for name in comparable(card) if self._exists(name)]
            return merge([index.search(vector, k) for index in there], k)

    def search_at(self, version: int, vector: Descriptors, card: ModelCard, k: int) -> None:
        """It does not say at which version it is."""

    def sizes(self) -> dict[str, int]:
        with _told(), self._database.reading() as connection:
            return {name: len(self._index(name)) for name in _models(connection)}

    def _apply(self, connection: sa.Connection) -> None:
        """Bring Milvus to the table's version. The transaction has the gallery alone, and so Milvus as well."""
        now = connection.execute(sa.select(state)).one()
        self._prefix = f"face128_{now.gallery_id}_"
        if now.indexed < now.complete_from:
            self._rebuild(connection)
        else:
            gone = connection.scalars(sa.select(erased.c.face_id).where(erased.c.version > now.indexed)).all()
            for collection in self._collections():
                MilvusIndex(self._client, collection, "euclidean").remove(np.array(gone, np.int64))
            apply_added(rows(connection, now.indexed), self._index)
        if not (self._compared or self._equal(connection)):
            log.warning("Milvus differs from the table of faces: its collections are made anew")
            self._rebuild(connection)
        self._compared = True
        connection.execute(sa.update(state).values(indexed=now.version))

    def _rebuild(self, connection: sa.Connection) -> None:
        self._indexes.clear()
        for collection in self._collections():
            self._client.drop_collection(collection)
        apply_added(rows(connection), self._index)

    def _equal(self, connection: sa.Connection) -> bool:
        """Whether each model's collection has just the rows of the table."""
        models = _models(connection)
        if not {self._name(model) for model in models} <= set(self._collections()):
            return False
        for model in models:
            wanted = connection.scalars(sa.select(faces.c.id).where(faces.c.model == model).order_by(faces.c.id)).all()
            if not np.array_equal(self._index(model).ids(), np.array(wanted, np.int64)):
                return False
        return True

    def _index(self, model: str, dimension: int | None = None) -> MilvusIndex:
        if model not in self._indexes:
            self._indexes[model] = MilvusIndex(self._client, self._name(model), metric(model), dimension)
        return self._indexes[model]

    def _exists(self, model: str) -> bool:
        return model in self._indexes or self._client.has_collection(self._name(model))

    def _name(self, model: str) -> str:
        return self._prefix + re.sub(r"\W", "_", model)

    def _collections(self) -> list[str]:
        return [name for name in self._client.list_collections() if name.startswith(self._prefix)]


def _models(connection: sa.Connection) -> Sequence[str]:
    return connection.scalars(sa.select(faces.c.model).distinct()).all()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except MilvusException as error:
        log.error("Milvus: %s", error)
        raise DatabaseAway("The gallery's vector index, Milvus, cannot be reached.") from None
