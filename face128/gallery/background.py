"""A job that a running service does again and again, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from face128.errors import Face128Error, GalleryLost
from face128.logs import plain_traceback

log = logging.getLogger("face128")

STOP_TIMEOUT_S = 2.0


class BackgroundJob:
    """Runs ``job`` every ``interval_s`` between ``start`` and ``stop``; first at once, or after an interval.

    An error is logged, and the job runs again, after ``failed_interval_s``. It ends where the gallery is lost: a new
    one will be opened, and has jobs of its own.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[], None],
        interval_s: float,
        *,
        at_once: bool = True,
        failed_interval_s: float | None = None,
    ) -> None:
        self._name, self._job, self._interval_s, self._at_once = name, job, interval_s, at_once
        self._failed_interval_s = interval_s if failed_interval_s is None else failed_interval_s
        self.stopped = threading.Event()
        """For a job that takes long."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        if self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        interval_s = 0.0 if self._at_once else self._interval_s
        while not self.stopped.wait(interval_s):
            interval_s = self._interval_s
            try:
                self._job()
            except GalleryLost:
                return
            except Exception as error:
                interval_s = self._failed_interval_s
                if not isinstance(error, Face128Error):  # else it was logged where it was raised
                    log.error("%s: %s", self._name, plain_traceback(error))
