"""One collection of Milvus: the vectors of the faces that have one name, by the ids of the faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from face128.domain.descriptors import Descriptors, Metric
from face128.gallery.milvus.server import TIMEOUT_S
from face128.gallery.search.index import Distances, Ids, distances_from_squares, normalised
from face128.settings import MilvusIndexType

T = TypeVar("T")

MAX_RESULTS = 16_384  # of one search: Milvus's limit
BATCH_ROWS = 1_000  # half a megabyte
NOT_LOADED = 101  # Milvus's code; milvus-lite loads no collection when it starts again

# FLAT compares with every vector, as FAISS does in this process. The others only find candidates, most of them the
# nearest: docs/gallery.md has the measurements.
BUILD: dict[MilvusIndexType, dict[str, int]] = {
    "FLAT": {},
    "HNSW": {"M": 32, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
}
CANDIDATES = 128  # of which the nearest are taken: more searches for the next ones are then in order
HNSW_CANDIDATES = 512  # "ef": how many are looked at; Milvus wants at least as many as are asked for
IVF_LISTS = 128  # "nprobe": how many of the lists are compared


class MilvusIndex:
    """As index.FaissIndex. ``name`` is the collection's, or an alias."""

    def __init__(
        self,
        client: MilvusClient,
        name: str,
        metric: Metric,
        dimension: int | None = None,
        index_type: MilvusIndexType = "FLAT",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Open the collection. If it does not exist, create it where a dimension is given, with this index."""
        self._client, self.name, self._metric = client, name, metric
        self._timeout_s = timeout_s
        # Strong: a search sees all acknowledged changes.
        self._strong: dict[str, Any] = {"consistency_level": "Strong", "timeout": timeout_s}
        if dimension is not None and not client.has_collection(name, timeout=timeout_s):
            schema = client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            index = client.prepare_index_params()
            # Nested, as the protocol has it: pymilvus 3 sends them one by one, and milvus-lite ignores that.
            params = {"params": BUILD[index_type]}
            index.add_index("vector", index_type=index_type, metric_type="L2", params=params)
            client.create_collection(name, schema=schema, index_params=index, **self._strong)
        client.load_collection(name, timeout=timeout_s)
        names = client.list_indexes(name, "vector", timeout=timeout_s)
        described = client.describe_index(name, names[0], timeout=timeout_s) if names else {}
        self.index_type: str = described.get("index_type", index_type)
        """Which it has: behind an alias it may be another one than the settings name."""

    def __len__(self) -> int:
        counted = self._loaded(lambda: self._client.query(self.name, output_fields=["count(*)"], **self._strong))
        return int(counted[0]["count(*)"])

    def ids(self) -> Ids:
        """All of them, ascending."""
        found: list[int] = []
        fields: Any = {"batch_size": MAX_RESULTS, "output_fields": ["id"], **self._strong, "timeout": TIMEOUT_S}
        pages = self._loaded(lambda: self._client.query_iterator(self.name, **fields))
        while page := pages.next():
            found += [row["id"] for row in page]
        pages.close()
        return np.sort(np.array(found, np.int64))

    def add(self, ids: Ids, vectors: Descriptors) -> None:
        data = [{"id": face_id, "vector": row} for face_id, row in zip(ids.tolist(), self.stored(vectors), strict=True)]
        for start in range(0, len(data), BATCH_ROWS):
            self._client.upsert(self.name, data[start : start + BATCH_ROWS], timeout=self._timeout_s)

    def remove(self, ids: Ids) -> None:
        remove_ids(self._client, self.name, ids, self._timeout_s)

    def vectors(self, ids: Ids) -> dict[int, Descriptors]:
        """Those of these ids that are there, as they are stored."""
        fields: Any = {"output_fields": ["id", "vector"], **self._strong}
        rows = self._loaded(lambda: self._client.get(self.name, ids=ids.tolist(), **fields))
        return {row["id"]: np.array(row["vector"], np.float32) for row in rows}

    def stored(self, vectors: Descriptors) -> Descriptors:
        """Vectors in the form in which Milvus has them."""
        return (normalised(vectors) if self._metric == "cosine" else vectors).astype(np.float32, copy=False)

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        query = self.stored(vector[None])
        if not np.isfinite(query).all():
            return np.empty(0, np.int64), np.empty(0)
        limit = min(k if self.index_type == "FLAT" else max(k, CANDIDATES), MAX_RESULTS)
        params: dict[str, dict[str, int]] = {
            "HNSW": {"ef": max(HNSW_CANDIDATES, limit)},
            "IVF_FLAT": {"nprobe": IVF_LISTS},
        }
        options: Any = {"search_params": {"metric_type": "L2", "params": params.get(self.index_type, {})}}
        options |= {"limit": limit, **self._strong}
        found = self._loaded(lambda: self._client.search(self.name, data=list(query), **options))[0]
        squares = np.array([hit["distance"] for hit in found[:k]], np.float32)
        return np.array([hit["id"] for hit in found[:k]], np.int64), distances_from_squares(squares, self._metric)

    def _loaded(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except MilvusException as error:
            if error.code != NOT_LOADED:
                raise
            self._client.load_collection(self.name, timeout=self._timeout_s)
            return call()


def remove_ids(client: MilvusClient, name: str, ids: Ids, timeout_s: float) -> None:
    """From a collection of Milvus; ids that are not there are ignored."""
    for start in range(0, len(ids), BATCH_ROWS):
        client.delete(name, ids=ids[start : start + BATCH_ROWS].tolist(), timeout=timeout_s)
