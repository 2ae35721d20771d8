"""A thread of each running service: it looks each minute whether Milvus has lost anything, and flushes."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from face128.errors import Face128Error, GalleryLost
from face128.logs import plain_traceback

if TYPE_CHECKING:
    from face128.gallery.milvus.sync import Milvus

log = logging.getLogger("face128")

CHECK_INTERVAL_S = 60.0
TICK_S = 1.0
FAILED_INTERVAL_S = 10.0  # each failure is a line of the log
STOP_TIMEOUT_S = 2.0


class MilvusWatch:
    def __init__(self, milvus: Milvus) -> None:
        self._milvus = milvus
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="milvus", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        # Of many processes that start together, each looks at another moment; no secret.
        due = time.monotonic() + CHECK_INTERVAL_S * random.uniform(0.5, 1)  # noqa: S311
        while not self._stopped.wait(TICK_S):
            try:
                self._milvus.flush()
                if self._milvus.check.doubted.is_set() or time.monotonic() >= due:
                    due = time.monotonic() + CHECK_INTERVAL_S
                    self._milvus.check.quick()
            except GalleryLost:
                return  # a new Gallery will be opened
            except Exception as error:
                if not isinstance(error, Face128Error):  # else it was logged where it was raised
                    log.error("the check of Milvus: %s", plain_traceback(error))
                self._stopped.wait(FAILED_INTERVAL_S)
