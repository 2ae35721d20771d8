"""The journal of a re-encoding: one line of JSON a photo, written as it comes, so that a second run goes on.

It is only ever appended to. After ``kill -9`` or a full disk its last line may be torn; a torn line is no line.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType

from face128.errors import ConfigurationError, TooLarge
from face128.jobs.execution.photo_task import Outcome


@dataclass(frozen=True)
class Line:
    """What the journal keeps of an outcome; see Outcome."""

    photo: str
    version: str
    sha256: str
    descriptor: str | None
    code: str
    error: str

    @property
    def done(self) -> str | None:
        """The SHA-256 of the photo whose outcome is final; None where it may pass: limits are no part of a version."""
        return None if self.code == TooLarge.code else self.sha256


NAMES = {field.name for field in fields(Line)}


class Journal:
    """The outcomes of one recipe; those of others stay in the file and are passed over. Use it in a with block."""

    def __init__(self, path: Path, version: str) -> None:
        self.lines: dict[str, Line] = {}
        """The last line of each photo."""
        self._version = version
        try:
            self._file = path.open("a+b", buffering=0)
            self._read()
        except OSError as error:
            raise ConfigurationError(f"The journal cannot be opened: {error.strerror}.") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, outcome: Outcome) -> None:
        """Write one line. Raises ConfigurationError where the disk does not take it."""
        values = asdict(outcome)
        line = Line(**{name: values[name] for name in NAMES})
        self._write(json.dumps(asdict(line)).encode() + b"\n")
        self.lines[line.photo] = line

    def sync(self) -> None:
        """Return when the disk has it all."""
        os.fsync(self._file.fileno())

    def _read(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        for text in data.splitlines():
            try:
                line = Line(**json.loads(text))
            except (ValueError, TypeError):
                continue  # torn
            if line.version == self._version:
                self.lines[line.photo] = line
        if data and not data.endswith(b"\n"):
            self._write(b"\n")

    def _write(self, data: bytes) -> None:
        try:
            written = self._file.write(data)
        except OSError as error:
            raise ConfigurationError(f"The journal cannot be written: {error.strerror}. Run again to go on.") from None
        if written != len(data):
            raise ConfigurationError("The journal cannot be written: the disk is full. Run again to go on.")
