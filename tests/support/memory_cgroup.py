"""A memory cgroup with a limit, for a service: as root, where cgroups of either version can be made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MOUNT = Path("/sys/fs/cgroup")


@contextmanager
def limited_memory(limit_bytes: int) -> Iterator[tuple[list[str], Callable[[], int]]]:
    """A command that executes its arguments in the cgroup, and a function that counts the kernel's kills there."""
    folder, limit_file = _own_folder()
    group = folder / f"face128-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit_file).write_text(str(limit_bytes))
        swap_file = "memory.swap.max" if limit_file == "memory.max" else "memory.memsw.limit_in_bytes"
        with suppress(OSError):
            (group / swap_file).write_text("0" if limit_file == "memory.max" else str(limit_bytes))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error.strerror}")

    def kills() -> int:
        path = group / ("memory.events" if limit_file == "memory.max" else "memory.oom_control")
        counts = dict(line.split() for line in path.read_text().splitlines())
        return int(counts["oom_kill"])

    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"], kills
    finally:
        for _ in range(100):  # until its last process has been waited for
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


def _own_folder() -> tuple[Path, str]:
    """This process's memory cgroup, and the name of the file with its limit."""
    try:
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        pytest.skip("cgroups need Linux")
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return MOUNT / "memory" / path.strip("/"), "memory.limit_in_bytes"
    return MOUNT / lines[0][2].strip("/"), "memory.max"
