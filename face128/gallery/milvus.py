"""Vector indexes in Milvus: a collection for each model, and for pairs, shared by all services of one gallery."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import sqlalchemy as sa
from pymilvus import DataType, MilvusClient, MilvusException

from face128.domain.descriptors import Descriptors, Metric
from face128.errors import DatabaseUnavailable
from face128.gallery.database import Database
from face128.gallery.index import Distances, Ids, distances_from_squares, normalised
from face128.gallery.index_sync import merge_nearest
from face128.gallery.space_rows import erased_ids, ids_by_name, read_all_vectors
from face128.gallery.stored_space import StoredSpace, metric_of
from face128.gallery.tables import state

log = logging.getLogger("face128")

MAX_RESULTS = 16_384  # of one search: Milvus's limit
BATCH_ROWS = 1_000  # half a megabyte
TIMEOUT_S = 30

# FLAT compares with every vector, as FAISS does in this process. Strong: a search sees all acknowledged changes.
FLAT_INDEX = {"index_type": "FLAT", "metric_type": "L2"}
STRONG = {"consistency_level": "Strong", "timeout": TIMEOUT_S}


class MilvusIndex:
    """One collection. See index.FaissIndex."""

    def __init__(self, client: MilvusClient, collection: str, metric: Metric, dimension: int | None = None) -> None:
        """Open the collection. If it does not exist, create it where a dimension is given."""
        self._client, self._name, self._metric = client, collection, metric
        if dimension is not None and not client.has_collection(collection, timeout=TIMEOUT_S):
            schema = client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            index = client.prepare_index_params()
            index.add_index("vector", **FLAT_INDEX)
            client.create_collection(collection, schema=schema, index_params=index, **STRONG)
        client.load_collection(collection, timeout=TIMEOUT_S)

    def __len__(self) -> int:
        return int(self._client.query(self._name, filter="", output_fields=["count(*)"], **STRONG)[0]["count(*)"])

    def ids(self) -> Ids:
        found: list[int] = []
        pages = self._client.query_iterator(self._name, batch_size=MAX_RESULTS, output_fields=["id"], **STRONG)
        while page := pages.next():
            found += [row["id"] for row in page]
        pages.close()
        return np.sort(np.array(found, np.int64))

    def add(self, ids: Ids, vectors: Descriptors) -> None:
        vectors = normalised(vectors) if self._metric == "cosine" else vectors
        data = [{"id": face_id, "vector": vector} for face_id, vector in zip(ids.tolist(), vectors, strict=True)]
        for start in range(0, len(data), BATCH_ROWS):
            self._client.upsert(self._name, data[start : start + BATCH_ROWS], timeout=TIMEOUT_S)

    def remove(self, ids: Ids) -> None:
        for start in range(0, len(ids), BATCH_ROWS):
            self._client.delete(self._name, ids=ids[start : start + BATCH_ROWS].tolist(), timeout=TIMEOUT_S)

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        query = (normalised(vector[None]) if self._metric == "cosine" else vector[None]).astype(np.float32)
        if not np.isfinite(query).all():
            return np.empty(0, np.int64), np.empty(0)
        found = self._client.search(self._name, data=list(query), limit=min(k, MAX_RESULTS), **STRONG)[0]
        squares = np.array([hit["distance"] for hit in found], np.float32)
        return np.array([hit["id"] for hit in found], np.int64), distances_from_squares(squares, self._metric)


class MilvusIndexSync:
    """As index_sync.FaissIndexSync. The database has the version that the gallery's collections have reached."""

    def __init__(self, uri: str, database: Database) -> None:
        with _as_unavailable():
            self._client = MilvusClient(uri=uri, timeout=TIMEOUT_S)
        self._database = database
        self._indexes: dict[str, MilvusIndex] = {}
        self._verified = False
        self._prefix = ""

    def catch_up(self, connection: sa.Connection) -> None:
        now = connection.execute(sa.select(state.c.version, state.c.indexed)).one()
        if self._verified and now.indexed == now.version:
            return
        writing = nullcontext(connection) if self._database.is_writing(connection) else self._database.writing()
        with _as_unavailable(), writing as writer:
            self._apply_changes(writer)

    def search(self, vector: Descriptors, space: StoredSpace, k: int) -> tuple[Ids, Distances]:
        with _as_unavailable():
            indexes = [self._index(name) for name in space.models if self._exists(name)]
            return merge_nearest([index.search(vector, k) for index in indexes], k)

    def sizes(self) -> dict[str, int]:
        with _as_unavailable(), self._database.reading() as connection:
            return {name: len(self._index(name)) for name in ids_by_name(connection)}

    def _apply_changes(self, connection: sa.Connection) -> None:
        """Bring Milvus to the table's version. As the only writer, this transaction has Milvus alone, too."""
        now = connection.execute(sa.select(state)).one()
        self._prefix = f"face128_{now.gallery_id}_"
        if now.indexed < now.complete_from:
            self._rebuild(connection)
        else:
            gone = erased_ids(connection, now.indexed)
            for collection in self._collections():
                MilvusIndex(self._client, collection, "euclidean").remove(gone)
            self._add(connection, now.indexed)
        if not (self._verified or self._equals_table(connection)):
            log.warning("Milvus differs from the table of faces: rebuilding its collections")
            self._rebuild(connection)
        self._verified = True
        connection.execute(sa.update(state).values(indexed=now.version))

    def _rebuild(self, connection: sa.Connection) -> None:
        self._indexes.clear()
        for collection in self._collections():
            self._client.drop_collection(collection, timeout=TIMEOUT_S)
        self._add(connection)

    def _add(self, connection: sa.Connection, above: int | None = None) -> None:
        for name, ids, vectors in read_all_vectors(connection, above):
            self._index(name, vectors.shape[1]).add(ids, vectors.astype(np.float32, copy=False))

    def _equals_table(self, connection: sa.Connection) -> bool:
        """Whether each collection has exactly the ids of the table."""
        return all(
            self._exists(name) and np.array_equal(self._index(name).ids(), ids)
            for name, ids in ids_by_name(connection).items()
        )

    def _index(self, model: str, dimension: int | None = None) -> MilvusIndex:
        if model not in self._indexes:
            self._indexes[model] = MilvusIndex(self._client, self._collection(model), metric_of(model), dimension)
        return self._indexes[model]

    def _exists(self, model: str) -> bool:
        return model in self._indexes or self._client.has_collection(self._collection(model), timeout=TIMEOUT_S)

    def _collection(self, model: str) -> str:
        return self._prefix + re.sub(r"\W", "_", model)

    def _collections(self) -> list[str]:
        return [name for name in self._client.list_collections(timeout=TIMEOUT_S) if name.startswith(self._prefix)]


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except MilvusException as error:
        log.error("Milvus: %s", error)
        raise DatabaseUnavailable("The gallery's vector index, Milvus, cannot be reached.") from None
