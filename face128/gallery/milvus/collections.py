"""Which of Milvus's collections has what. A search uses an alias, so that another collection can take its place.

``face128_<gallery>_<model>_now`` is the alias. Behind it is a collection ``face128_<gallery>_<model>_g<time>``, or the
one without an ending that earlier versions made. A second collection of a model is one that is being filled: who
brings Milvus up to date changes all of them.
"""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from pymilvus import MilvusException

from face128.domain.descriptors import Descriptors, Matrix
from face128.gallery.milvus.index import MilvusIndex, remove_ids
from face128.gallery.milvus.server import TIMEOUT_S, MilvusServer
from face128.gallery.rows.stored_space import metric_of
from face128.gallery.search.index import Ids
from face128.settings import MilvusIndexType

log = logging.getLogger("face128")

ABANDONED_S = 86_400  # a collection that was begun so long ago, and took nobody's place, is given up

Key = tuple[str, str]
"""A collection of the gallery, and the name of the vectors: a model, or a pair of two."""


class MilvusCollections:
    """Thread-safe."""

    def __init__(self, server: MilvusServer, index_type: MilvusIndexType) -> None:
        self.index_type: MilvusIndexType = index_type
        self._server = server
        self._client = server.client
        self._gallery_id: str | None = None
        self._open: dict[Key, MilvusIndex] = {}
        self._by_name: dict[str, MilvusIndex] = {}
        self.unflushed: dict[str, int] = defaultdict(int)
        """How many vectors were added here to each of Milvus's collections since its last flush."""

    def of_gallery(self, gallery_id: str) -> None:
        """A restored database may be another gallery."""
        if gallery_id != self._gallery_id:
            self._gallery_id = gallery_id
            self._open.clear()
            self._by_name.clear()

    def index(self, key: Key) -> MilvusIndex | None:
        """What a search uses; None if there is nothing of this name."""
        if key not in self._open:
            alias = self._alias(key)
            if not self._client.has_collection(alias, timeout=self._server.timeout_s):
                return None
            self._open[key] = self._index(key, alias)
        return self._open[key]

    def forget(self, key: Key) -> None:
        """Ask Milvus again before the next use."""
        self._open.pop(key, None)
        for name in [name for name in self._by_name if name.startswith(self._base(key))]:
            del self._by_name[name]

    def sure(self, key: Key, dimension: int) -> MilvusIndex:
        """As ``index``; what does not exist is created. For a writing transaction: nobody else does it then."""
        index = self.index(key)
        if index is None:
            copies = self.copies(key) or [self.create(key, dimension).name]
            self._client.create_alias(copies[0], self._alias(key), timeout=self._server.timeout_s)
            index = self.index(key)
        assert index is not None
        return index

    def create(self, key: Key, dimension: int) -> MilvusIndex:
        """A new collection, which nobody searches yet."""
        return self._index(key, f"{self._base(key)}_g{time.time_ns() // 1_000_000}", dimension)

    def switch(self, key: Key, new: MilvusIndex) -> None:
        """Let searches use this collection, and drop the others. For a writing transaction."""
        self._client.alter_alias(new.name, self._alias(key), timeout=self._server.timeout_s)
        for name in self.copies(key):
            if name != new.name:
                self._client.drop_collection(name, timeout=self._server.timeout_s)
        self.forget(key)

    def add(self, key: Key, ids: Ids, vectors: Descriptors | Matrix) -> None:
        """To all collections of the name. For a writing transaction."""
        self.sure(key, vectors.shape[1])
        for name in self.copies(key):
            self._index(key, name).add(ids, vectors.astype(np.float32, copy=False))
            self.unflushed[name] += len(ids)

    def remove(self, ids: Ids, names: Sequence[str] | None = None) -> None:
        """From these collections, or all of the gallery. For a writing transaction."""
        for name in self._names() if names is None and len(ids) else names or ():
            remove_ids(self._client, name, ids, self._server.timeout_s)

    def flush(self, least: int) -> None:
        """Flush the collections to which at least so many vectors were added."""
        for name in [name for name, count in self.unflushed.items() if count >= least]:
            if self._client.has_collection(name, timeout=self._server.timeout_s):
                self.flush_name(name)
            else:
                del self.unflushed[name]

    def flush_name(self, name: str) -> None:
        """Have what was added written and indexed. Where Milvus refuses it now, a later flush does it."""
        try:
            self._client.flush(name, timeout=TIMEOUT_S)
            self.unflushed.pop(name, None)
        except MilvusException as error:
            log.warning("Milvus has not flushed %s: %s", name, error)

    def copies(self, key: Key) -> list[str]:
        """The collections of a name, the oldest first."""
        ending = re.compile(re.escape(self._base(key)) + r"(_g(\d+))?")
        found = [(int(match[2] or 0), name) for name in self._names() if (match := ending.fullmatch(name))]
        return [name for _, name in sorted(found)]

    def drop_abandoned(self, key: Key) -> None:
        """Drop collections that were being filled when their process ended."""
        copies = self.copies(key)
        if len(copies) > 1:
            described = self._client.describe_alias(self._alias(key), timeout=self._server.timeout_s)
            before_ms = 1000 * (time.time() - ABANDONED_S)
            for name in copies:
                begun_ms = int(re.sub(r".*_g", "", name)) if "_g" in name.removeprefix(self._base(key)) else 0
                if name != described["collection_name"] and begun_ms < before_ms:
                    self._client.drop_collection(name, timeout=self._server.timeout_s)

    def _index(self, key: Key, name: str, dimension: int | None = None) -> MilvusIndex:
        if name not in self._by_name:
            options = metric_of(key[1]), dimension, self.index_type, self._server.timeout_s
            self._by_name[name] = MilvusIndex(self._client, name, *options)
        return self._by_name[name]

    def _names(self) -> list[str]:
        names = self._client.list_collections(timeout=self._server.timeout_s)
        return [name for name in names if name.startswith(f"face128_{self._gallery_id}_")]

    def _alias(self, key: Key) -> str:
        return f"{self._base(key)}_now"

    def _base(self, key: Key) -> str:
        collection, name = key
        ending = f"_c_{collection.encode().hex()}" if collection else ""
        return f"face128_{self._gallery_id}_" + re.sub(r"\W", "_", name) + ending
