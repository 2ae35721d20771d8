"""Memory, handles and threads of a service: sums over its processes, from /proc."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class ResourceUsage:
    memory_mb: float
    """PSS in 10^6 bytes: a page that processes share counts once."""
    private_mb: float
    """PSS without file-backed pages, whose share falls when other programs use the same libraries."""
    handles: int
    threads: int
    processes: int


def resource_usage(process_id: int) -> ResourceUsage:
    """Of this process and its descendants."""
    memory_mb, private_mb, handles, threads, processes = 0.0, 0.0, 0, 0, 0
    for each in process_tree(process_id):
        try:
            total_mb, file_mb = (_field(each, "smaps_rollup", name) * 1024 / 1e6 for name in ("Pss", "Pss_File"))
            memory_mb += total_mb
            private_mb += total_mb - file_mb
            handles += len(list((PROC / str(each) / "fd").iterdir()))
            threads += _field(each, "status", "Threads")
            processes += 1
        except (OSError, StopIteration):  # the process has ended
            continue
    return ResourceUsage(memory_mb, private_mb, handles, threads, processes)


def peak_memory_mb(process_id: int) -> float:
    """The greatest resident memory so far, in 10^6 bytes; 0 of a process that has ended."""
    try:
        return _field(process_id, "status", "VmHWM") * 1024 / 1e6
    except (OSError, StopIteration):
        return 0.0


def process_tree(process_id: int) -> list[int]:
    """The process and its descendants, ancestors first."""
    found = [process_id]
    for each in found:
        try:
            for thread in (PROC / str(each) / "task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def _field(process_id: int, file: str, name: str) -> int:
    """The value of a field; memory is in units of 1,024 bytes, which the file calls kB."""
    lines = (PROC / str(process_id) / file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class PeakMemory:
    """The highest memory of a service, sampled twice a second."""

    def __init__(self, process_id: int) -> None:
        self._stopped = threading.Event()
        self._highest_mb = resource_usage(process_id).memory_mb
        self._thread = threading.Thread(target=self._watch, args=(process_id,))
        self._thread.start()

    def _watch(self, process_id: int) -> None:
        while not self._stopped.wait(0.5):
            self._highest_mb = max(self._highest_mb, resource_usage(process_id).memory_mb)

    def stop(self) -> float:
        """Megabytes."""
        self._stopped.set()
        self._thread.join()
        return self._highest_mb
