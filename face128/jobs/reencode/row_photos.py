"""Photos that the rows of a query hold themselves: they lie in a folder beside --out while the job runs."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from face128.errors import BadRequest

NAME_DIGITS = 16  # of the SHA-256: enough to tell photos apart, short enough for a report
OWN_NAME = re.compile(rf"[0-9a-f]{{{NAME_DIGITS}}}")
FOLDER_MODE, FILE_MODE = 0o700, 0o600


class RowPhotos:
    """A context: the folder is made for the first photo, and is gone at the end. The next run deletes what a kill left.

    A file is called after its content, so no text of the database becomes a path, and a photo has the same name in the
    next run, whatever its row is then. Raises BadRequest if the folder cannot be written, or holds anything else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made:
            self._clear()

    def keep(self, data: bytes) -> Path:
        path = self._folder / hashlib.sha256(data).hexdigest()[:NAME_DIGITS]
        try:
            if not self._made:
                self._clear()
                self._folder.mkdir(FOLDER_MODE)
                self._made = True
            if not path.exists():
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
                    file.write(data)
        except OSError as error:
            raise BadRequest(
                f"{self._folder}, for the photos of the rows, cannot be written: {error.strerror}."
            ) from None
        return path

    def _clear(self) -> None:
        try:
            if not os.path.lexists(self._folder):
                return
            is_folder = self._folder.is_dir() and not self._folder.is_symlink()
            files = list(self._folder.iterdir()) if is_folder else []
            if not is_folder or not all(OWN_NAME.fullmatch(file.name) for file in files):
                raise BadRequest(f"{self._folder} is not a folder that this job has left: name another --out.")
            for file in files:
                file.unlink()
            self._folder.rmdir()
        except OSError as error:
            raise BadRequest(f"{self._folder} cannot be removed: {error.strerror}.") from None
