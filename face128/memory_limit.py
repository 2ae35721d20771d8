"""How much memory this process may have, and how much of it is free: by its cgroups (Linux containers) and the machine.

Where neither can be read, as on macOS and Windows, there is no known limit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

UNLIMITED_BYTES = 2**60
"""Version 1 writes the largest multiple of a page below 2**63."""
SCARCE_BYTES = 2 * 2**30  # below it, a photo's memory is given back at once


@dataclass(frozen=True)
class _Cgroup:
    folder: Path
    limit_files: tuple[str, ...]
    usage_file: str
    stat_prefix: str
    mapped_file: str

    def limit_bytes(self) -> int | None:
        texts = [path.read_text().strip() for name in self.limit_files if (path := self.folder / name).is_file()]
        return min((int(text) for text in texts if text != "max" and int(text) < UNLIMITED_BYTES), default=None)

    def free_bytes(self, limit_bytes: int, enough_bytes: int) -> int:
        """At least what is free. Cached files count as free, as the kernel drops them, unless they are mapped: code."""
        free = limit_bytes - int((self.folder / self.usage_file).read_text())
        if free >= enough_bytes:  # memory.stat takes the kernel up to some milliseconds
            return free
        stat = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        names = "active_file", "inactive_file", self.mapped_file
        active, inactive, mapped = (int(stat.get(self.stat_prefix + name, 0)) for name in names)
        return free + max(0, active + inactive - mapped)


# Linux, Documentation/admin-guide: cgroup-v2.rst and cgroup-v1/memory.rst.
_V2: tuple[Any, ...] = ("memory.max", "memory.high"), "memory.current", "", "file_mapped"
_V1: tuple[Any, ...] = (
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    "total_",
    "mapped_file",
)


class MemoryLimit:
    """Reads the files of a Linux system under ``root``. The cgroups that are limited now are watched."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._meminfo = root / "proc/meminfo"
        try:
            self._cgroups = [each for each in _cgroups(root) if each.limit_bytes() is not None]
        except (OSError, ValueError):
            self._cgroups = []

    def total_bytes(self) -> int | None:
        """The most that this process and its neighbours in the container may use; None if that is unknown."""
        limits = [limit for each in self._cgroups if (limit := each.limit_bytes()) is not None]
        machine = self._machine_bytes("MemTotal")
        return min([*limits, *([] if machine is None else [machine])], default=None)

    @cached_property
    def is_scarce(self) -> bool:
        """Whether to give memory back at once. Getting it again takes a photo of 1 megapixel a third longer."""
        total = self.total_bytes()
        return total is not None and total < SCARCE_BYTES

    def free_bytes(self, enough_bytes: int = sys.maxsize) -> int | None:
        """What may still be allocated before the kernel ends a process; None if that is unknown.

        Exact only below ``enough_bytes``, which is quicker.
        """
        free = []
        for each in self._cgroups:
            try:
                if (limit := each.limit_bytes()) is not None:
                    free.append(each.free_bytes(limit, enough_bytes))
            except (OSError, ValueError):  # the process was moved to another cgroup
                continue
        machine = self._machine_bytes("MemAvailable", "SwapFree")
        return min([*free, *([] if machine is None else [machine])], default=None)

    def _machine_bytes(self, *names: str) -> int | None:
        try:
            lines = (line.split() for line in self._meminfo.read_text().splitlines())
            kib = {words[0].rstrip(":"): int(words[1]) for words in lines}
            return sum(kib[name] for name in names) * 1024
        except (OSError, ValueError, LookupError):
            return None


def _cgroups(root: Path) -> Iterator[_Cgroup]:
    """The memory cgroups of this process, from its own to the outermost one that can be seen."""
    mount = root / "sys/fs/cgroup"
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, version = mount, _V2
        elif "memory" in controllers.split(","):
            top, version = mount / "memory", _V1
        else:
            continue
        folder = top / path.strip("/")
        if not folder.is_dir():  # a container that sees its own cgroup as the outermost, and the name outside
            folder = top
        while True:
            yield _Cgroup(folder, *version)
            if folder == top:
                break
            folder = folder.parent


@cache
def this_process() -> MemoryLimit:
    return MemoryLimit()
