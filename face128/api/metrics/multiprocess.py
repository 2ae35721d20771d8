"""The folder in which several workers keep their counts, and what the system says of all processes of the service."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.registry import Collector

from face128.errors import ConfigurationError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client knows it; it has to be set before a worker imports that."""


@contextmanager
def metrics_folder(workers: int) -> Iterator[None]:
    """An empty folder for several workers' counts, until the block ends; one worker needs none."""
    os.environ.pop(FOLDER, None)  # another service's, if at all
    if workers == 1:
        yield
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="face128-metrics-")
    except OSError:
        raise ConfigurationError("Several workers keep their metrics in a temporary folder: set TMPDIR.") from None
    with folder as path:
        os.environ[FOLDER] = path
        yield


def forget_the_dead(folder: str) -> None:
    """What a worker that has ended had in hand is nobody's any more; what it has counted stays."""
    for file in Path(folder).glob("gauge_livesum_*.db"):
        worker = int(file.stem.rpartition("_")[2])
        if not _lives(worker):
            mark_process_dead(worker, folder)  # type: ignore[no-untyped-call]


def _lives(process: int) -> bool:
    if sys.platform == "win32":  # signal 0 would end it there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class System(Collector):
    """Memory, processor time and open files of a process and all its descendants; nothing without /proc (proc(5))."""

    def __init__(self, root: int) -> None:
        self._root = root

    def collect(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily("face128_memory_bytes", "Memory of all processes; shared pages count once")
        files = GaugeMetricFamily("face128_open_files", "Open files of all processes")
        seconds = CounterMetricFamily("face128_cpu_seconds", "Processor time of the processes that live")
        if not Path(f"/proc/{self._root}/smaps_rollup").exists():
            return
        family = [usage for process in _family(self._root) if (usage := _usage(process))]
        for metric, values in zip((memory, files, seconds), zip(*family, strict=True), strict=True):
            metric.add_sample(metric.name + ("_total" if metric.type == "counter" else ""), {}, sum(values))
            yield metric


def _family(process: int) -> Iterator[int]:
    yield process
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = thread.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _usage(process: int) -> tuple[float, float, float] | None:
    """Bytes (of shared pages its part), open files and seconds; None where it has just ended."""
    here = Path(f"/proc/{process}")
    try:
        pss = next(line for line in (here / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        after_name = (here / "stat").read_text().rpartition(")")[2].split()
        ticks = int(after_name[11]) + int(after_name[12])  # utime and stime
        return 1024 * int(pss.split()[1]), len(os.listdir(here / "fd")), ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration):
        return None
