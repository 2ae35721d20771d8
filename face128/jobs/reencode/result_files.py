"""The files that a re-encoding writes beside each other, and whether they can be written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from face128.errors import BadRequest
from face128.jobs.files import is_stream


class ResultFiles(NamedTuple):
    enrolled: Path
    before: Path
    """The list that the last change of ``enrolled`` replaced."""
    journal: Path
    failed: Path
    """Photos without a descriptor."""
    again: Path
    """Members who must be photographed again."""
    poor: Path
    """Photos that have a descriptor, and a poor quality."""
    posted: Path
    """Who is enrolled in the remote service."""
    written: Path
    """Whose descriptor is in the members' table."""

    @property
    def row_photos(self) -> Path:
        """A folder, while the job runs: photos that the rows of a query hold."""
        return self.enrolled.with_suffix(".photos")

    @classmethod
    def beside(cls, out: Path) -> ResultFiles:
        suffixes = (".journal.jsonl", ".failed.csv", ".again.csv", ".poor.csv", ".posted", ".written")
        return cls(out, out.with_name(f"{out.name}.bak"), *map(out.with_suffix, suffixes))


def check_out(out: Path, members: Path | None, first_bytes: bytes) -> None:
    """Raise BadRequest if a re-encoding of ``members`` cannot write ``out``, or would overwrite something else.

    A file may be replaced if it is empty, or begins with ``first_bytes``, as one of an earlier run.
    """
    if out.is_dir():
        raise BadRequest(f"--out {out} is a folder. Name a file in it: --out {out / 'enrolled.json'}")
    if not out.parent.is_dir():
        raise BadRequest(f"--out {out} cannot be written: there is no folder {out.parent}.")
    if is_stream(out):
        raise BadRequest(f"--out {out} is not a file: the journal is written beside it.")
    files = ResultFiles.beside(out)
    if out.suffix in (".posted", ".written", ".bak") or out in files[1:]:
        raise BadRequest(f"--out may not end in {out.suffix}: another file of the job has this name.")
    if members and members.resolve() in {path.resolve() for path in files}:
        raise BadRequest(f"{members} would be overwritten: name another file with --out.")
    if out.exists() and _beginning(out, len(first_bytes)) not in (b"", first_bytes):
        raise BadRequest(f"--out {out} holds something else than such members, and would be overwritten.")
    for path in files:
        _check_writable(path)


def _check_writable(path: Path) -> None:
    """A file is replaced by a new one, or appended to."""
    trial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "It is a folder")
        if path.exists():
            os.close(os.open(path, os.O_WRONLY))
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        trial.unlink()
    except OSError as error:
        raise BadRequest(f"--out: {path} cannot be written: {error.strerror}.") from None


def _beginning(out: Path, size: int) -> bytes:
    try:
        with out.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise BadRequest(f"--out {out} cannot be read: {error.strerror}.") from None
