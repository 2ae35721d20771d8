"""Keeps the expected FPIR of each open collection up to date, in a thread of each running service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from face128.errors import Face128Error, GalleryLost
from face128.events import listener
from face128.gallery.cohort.expected_fpir import FpirWatch
from face128.logs import plain_traceback

log = logging.getLogger("face128")

INTERVAL_S = 30.0
STOP_TIMEOUT_S = 2.0


class FpirThread:
    """``watches`` gives those of the collections that are open now. The metrics get the greatest share of all."""

    def __init__(self, watches: Callable[[], list[FpirWatch]]) -> None:
        self._watches = watches
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Measure now, and look again and again until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="expected FPIR", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            try:
                watches = self._watches()
                for watch in watches:
                    watch.refresh(self._stopped)
                known = [(watch.share, watch.rule_name) for watch in watches if watch.share is not None]
                if known:
                    share, rule = max(known)
                    listener().expected_fpir(rule, share)
            except GalleryLost:
                return  # a new Gallery will be opened
            except Exception as error:
                if not isinstance(error, Face128Error):  # else it was logged where it was raised
                    log.error("the expected FPIR: %s", plain_traceback(error))
            if self._stopped.wait(INTERVAL_S):
                return
