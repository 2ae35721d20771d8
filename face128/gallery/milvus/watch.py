"""A thread of each running service: it looks each minute whether Milvus has lost anything, and flushes."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from face128.gallery.background import BackgroundJob

if TYPE_CHECKING:
    from face128.gallery.milvus.sync import Milvus

CHECK_INTERVAL_S = 60.0
TICK_S = 1.0
FAILED_INTERVAL_S = 10.0  # each failure is a line of the log


class MilvusWatch(BackgroundJob):
    def __init__(self, milvus: Milvus) -> None:
        super().__init__("the check of Milvus", self._tick, TICK_S, at_once=False, failed_interval_s=FAILED_INTERVAL_S)
        self._milvus = milvus
        self._due = 0.0

    def start(self) -> None:
        # Of many processes that start together, each looks at another moment; no secret.
        self._due = time.monotonic() + CHECK_INTERVAL_S * random.uniform(0.5, 1)  # noqa: S311
        super().start()

    def _tick(self) -> None:
        self._milvus.flush()
        if self._milvus.check.doubted.is_set() or time.monotonic() >= self._due:
            self._due = time.monotonic() + CHECK_INTERVAL_S
            self._milvus.check.quick()
