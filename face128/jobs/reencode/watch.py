"""Notices when files come into a folder, change or go; by looking, because network folders report nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path

POLL_S = 2.0
MAX_SETTLE_POLLS = 30  # a folder in which files change all the time is looked at each minute

Snapshot = frozenset[tuple[str, int, int]]


def changes(folders: Collection[Path], own_files: Collection[Path], poll_s: float = POLL_S) -> Iterator[None]:
    """Yield when something has changed since the last time, and does not change any more: it is being copied.

    ``folders``: folders or files. ``own_files`` and hidden files are passed over.
    """
    own = {path.resolve() for path in own_files}
    seen = _look(folders, own)
    while True:
        time.sleep(poll_s)
        now = _look(folders, own)
        if now == seen:
            continue
        for _ in range(MAX_SETTLE_POLLS):
            time.sleep(poll_s)
            before, now = now, _look(folders, own)
            if now == before:
                break
        seen = now
        yield


def _look(folders: Collection[Path], own: Collection[Path]) -> Snapshot:
    """Path, size and time of each file."""
    found = set()
    for folder in folders:
        for path in [folder] if folder.is_file() else folder.rglob("*"):
            if any(part.startswith(".") for part in path.relative_to(folder).parts) or path.resolve() in own:
                continue
            try:
                stat = path.stat()
            except OSError:  # it has just gone
                continue
            if path.is_file():
                found.add((str(path), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
