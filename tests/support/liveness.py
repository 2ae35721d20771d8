"""Whether processes live, and waiting for what they do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; fail after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def have_open(path: Path) -> set[int]:
    """The processes that have this file open, as far as /proc tells."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(descriptor) == str(path):
                found.add(int(descriptor.parts[2]))
    return found


def lives(process_id: int) -> bool:
    """Whether the process exists and is no zombie, which has ended but has not been waited for."""
    try:
        return ") Z " not in Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
