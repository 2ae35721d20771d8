"""The journal of a re-encoding: one line of JSON for each photo, so that a second run does only what is left.

It is append-only. After ``kill -9`` or a full disk its last line may be incomplete; incomplete lines are ignored.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from face128.errors import ConfigurationError
from face128.jobs.execution.photo_task import PhotoResult


class Journal:
    """The results of one recipe's version; lines of others stay in the file and are ignored."""

    def __init__(self, path: Path, version: str) -> None:
        self.entries: dict[str, PhotoResult] = {}
        """The last entry of each photo."""
        try:
            # Its owner's alone: it has descriptors.
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+b", buffering=0)
            self._file.seek(0)
            data = self._file.read()
        except OSError as error:
            raise ConfigurationError(f"The journal cannot be opened: {error.strerror}.") from None
        for line in data.splitlines():
            try:
                entry = PhotoResult(**json.loads(line))
            except (ValueError, TypeError):
                continue  # incomplete
            if entry.version == version:
                self.entries[entry.photo] = entry
        if data and not data.endswith(b"\n"):
            self._write(b"\n")

    def close(self) -> None:
        self._file.close()

    def add(self, result: PhotoResult) -> None:
        """Write one line. Raises ConfigurationError if it cannot be written."""
        entry = asdict(result)
        del entry["unchanged"]
        self._write(json.dumps(entry).encode() + b"\n")
        self.entries[result.photo] = result

    def sync(self) -> None:
        """Return when everything is on the disk."""
        os.fsync(self._file.fileno())

    def _write(self, data: bytes) -> None:
        try:
            written = self._file.write(data)
        except OSError as error:
            raise ConfigurationError(f"The journal cannot be written: {error.strerror}. Run again to go on.") from None
        if written != len(data):
            raise ConfigurationError("The journal cannot be written: the disk is full. Run again to go on.")
