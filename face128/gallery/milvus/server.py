"""The connection to Milvus: every wait has an end, and a Milvus that does not answer is an unavailable database."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pymilvus import MilvusClient, MilvusException

from face128.errors import DatabaseUnavailable

log = logging.getLogger("face128")

TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 3.5  # for a request, which is answered within seconds whatever Milvus does
PAUSE_S = 1.0  # after a wait in vain, how long nobody else waits: else each thread would, one request after the other
LONG_WAIT_S = 2.0  # an error after so long counts as such a wait

# What a call raises: of a server that answers with an error or is gone, and of one that hangs.
MILVUS_ERRORS = (MilvusException, grpc.RpcError, grpc.FutureTimeoutError)


class MilvusServer:
    """Thread-safe. ``hurried``: for requests."""

    def __init__(self, uri: str, *, hurried: bool = False) -> None:
        self.timeout_s = REQUEST_TIMEOUT_S if hurried else TIMEOUT_S
        self._paused_until = 0.0
        with self.answering():
            self.client = MilvusClient(uri=uri, timeout=self.timeout_s)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A block with calls of Milvus. Raises DatabaseUnavailable where Milvus does not do what it is told."""
        start = time.monotonic()
        if start < self._paused_until:
            raise _unavailable()
        try:
            yield
        except MILVUS_ERRORS as error:
            if time.monotonic() > start + LONG_WAIT_S:
                self._paused_until = time.monotonic() + PAUSE_S
            log.error("Milvus: %s", error.details() if isinstance(error, grpc.Call) else error)
            raise _unavailable() from None

    def ping(self) -> None:
        """Raise DatabaseUnavailable where a search would."""
        with self.answering():
            self.client.list_collections(timeout=self.timeout_s)


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable("The gallery's vector index, Milvus, cannot be reached.")
