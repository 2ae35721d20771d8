"""What a service takes of the machine: the sums over its processes, from /proc."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Taken:
    memory: float
    """Megabytes (10^6 bytes); a page that processes share counts once (PSS)."""
    own: float
    """The part of it that no file backs. The rest is code, which shrinks where a stranger's process maps it too."""
    handles: int
    threads: int
    processes: int


def taken(process_id: int) -> Taken:
    """By this process and its descendants."""
    memory, own, handles, threads, processes = 0.0, 0.0, 0, 0, 0
    for each in tree(process_id):
        try:
            all_of_it, file = (_field(each, "smaps_rollup", name) * 1024 / 1e6 for name in ("Pss", "Pss_File"))
            memory += all_of_it
            own += all_of_it - file
            handles += len(list((PROC / str(each) / "fd").iterdir()))
            threads += _field(each, "status", "Threads")
            processes += 1
        except (OSError, StopIteration):  # it has ended
            continue
    return Taken(memory, own, handles, threads, processes)


def tree(process_id: int) -> list[int]:
    """The process and its descendants, the ancestors first."""
    found = [process_id]
    for each in found:
        try:
            for thread in (PROC / str(each) / "task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def _field(process_id: int, file: str, name: str) -> int:
    """In kilobytes, where it is memory: the file says kB and means 1,024 bytes."""
    lines = (PROC / str(process_id) / file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class Highest:
    """The most memory that a service has taken, looked at twice a second."""

    def __init__(self, process_id: int) -> None:
        self._over = threading.Event()
        self._highest = taken(process_id).memory
        self._thread = threading.Thread(target=self._watch, args=(process_id,))
        self._thread.start()

    def _watch(self, process_id: int) -> None:
        while not self._over.wait(0.5):
            self._highest = max(self._highest, taken(process_id).memory)

    def stop(self) -> float:
        """Megabytes."""
        self._over.set()
        self._thread.join()
        return self._highest
