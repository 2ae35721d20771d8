"""The folder in which several worker processes share their counts (prometheus_client's multiprocess mode)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from prometheus_client.multiprocess import mark_process_dead

from face128.errors import ConfigurationError

METRICS_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client reads this environment variable when a worker process imports it."""


@contextmanager
def metrics_folder(workers: int) -> Iterator[None]:
    """Provide an empty folder for the counts of several workers until the block ends; a single worker needs none.

    Raises ConfigurationError if no temporary folder can be made.
    """
    os.environ.pop(METRICS_FOLDER_VARIABLE, None)  # inherited from another service
    if workers == 1:
        yield
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="face128-metrics-")
    except OSError:
        raise ConfigurationError("Several workers keep their metrics in a temporary folder: set TMPDIR.") from None
    with folder as path:
        os.environ[METRICS_FOLDER_VARIABLE] = path
        yield


def drop_dead_gauges(folder: str) -> None:
    """Drop gauges of dead workers; keep their counters."""
    for file in Path(folder).glob("gauge_livesum_*.db"):
        worker = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(worker):
            mark_process_dead(worker, folder)  # type: ignore[no-untyped-call]
