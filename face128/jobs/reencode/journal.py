"""The journal of a re-encoding: one line of JSON for each photo and engine, so that a second run does what is left.

It is append-only. After ``kill -9`` or a full disk its last line may be incomplete; incomplete lines are ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from face128.errors import ConfigurationError
from face128.jobs.execution.photo_task import PhotoResult

Entries = dict[str, PhotoResult]
"""The last result of each photo, of one engine."""


def read_entries(path: Path, versions: Sequence[str]) -> list[Entries]:
    """Of each of the versions; none if there is no journal. Raises ConfigurationError if it cannot be read."""
    try:
        return _entries(path.read_bytes().splitlines() if path.exists() else (), versions)
    except OSError as error:
        raise ConfigurationError(f"The journal {path} cannot be read: {error.strerror}.") from None


def done_sha256(entries: Sequence[Entries], photo: str) -> tuple[str | None, ...]:
    """For each engine, the content of the photo that it has done."""
    return tuple(of_engine[photo].done_sha256 if photo in of_engine else None for of_engine in entries)


class Journal:
    """The results of some recipe's versions; lines of others stay in the file and are ignored."""

    def __init__(self, path: Path, versions: Sequence[str]) -> None:
        self._path, self._versions = path, versions
        try:
            # Its owner's alone: it has descriptors.
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+b", buffering=0)
            self._file.seek(0)
            data = self._file.read()
        except OSError as error:
            raise ConfigurationError(f"The journal {path} cannot be opened: {error.strerror}.") from None
        self.entries = _entries(data.splitlines(), versions)
        """Of each version."""
        if data and not data.endswith(b"\n"):
            self._write(b"\n")

    def close(self) -> None:
        self._file.close()

    def add(self, results: Sequence[PhotoResult]) -> None:
        """Write a line for each. Raises ConfigurationError if they cannot be written."""
        self._write(b"".join(json.dumps(asdict(result)).encode() + b"\n" for result in results))
        for result in results:
            self.entries[self._versions.index(result.version)][result.photo] = result

    def sync(self) -> None:
        """Return when everything is on the disk."""
        os.fsync(self._file.fileno())

    def _write(self, data: bytes) -> None:
        try:
            written = self._file.write(data)
        except OSError as error:
            reason = error.strerror
        else:
            if written == len(data):
                return
            reason = "the disk is full"
        raise ConfigurationError(f"The journal {self._path} cannot be written: {reason}. Run again to go on.")


def _entries(lines: Iterable[bytes], versions: Sequence[str]) -> list[Entries]:
    entries: dict[str, Entries] = {version: {} for version in versions}
    for line in lines:
        try:
            result = PhotoResult(**json.loads(line))
        except (ValueError, TypeError):
            continue  # incomplete
        if result.version in entries:
            entries[result.version][result.photo] = result
    return [entries[version] for version in versions]
