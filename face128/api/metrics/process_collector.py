"""Memory, open files and CPU time of all processes of the service, read from the operating system by psutil."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ProcessCollector(Collector):
    """Sums over a process and all its descendants. A value that the system does not give is left out."""

    def __init__(self, root: int) -> None:
        self._root = root

    def collect(self) -> Iterator[Metric]:
        families = (
            GaugeMetricFamily("face128_memory_bytes", "Memory of all processes; a shared page counts once"),
            GaugeMetricFamily("face128_open_files", "Open files of all processes"),
            CounterMetricFamily("face128_cpu_seconds", "CPU time of all running processes"),
        )
        usages = [usage for process in _process_tree(self._root) if (usage := _usage(process))]
        for family, values in zip(families, zip(*usages, strict=True), strict=False):
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                family.add_sample(family.name + ("_total" if family.type == "counter" else ""), {}, sum(known))
                yield family


def _process_tree(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _usage(process: psutil.Process) -> tuple[float | None, float | None, float] | None:
    """Bytes (PSS: a shared page counts in part), open files and CPU seconds; None if the process has just ended."""
    try:
        memory = getattr(process.memory_full_info(), "pss", None)  # Linux only
        files = process.num_fds() if psutil.POSIX else None
        times = process.cpu_times()
    except psutil.Error:
        return None
    return memory, files, times.user + times.system
