"""How the commands read and write files. A file is replaced as a whole, and only by a run that succeeds."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from face128.errors import BadRequest

NEW_FILE_MODE = 0o600  # names and descriptors are personal data, whatever the umask
STREAM_PATHS = ("/dev/fd/", "/dev/std", "/proc/")  # even where a shell has redirected them to a file


def read_bytes(path: Path) -> bytes:
    """Raises OSError, also for a device: /dev/zero never ends."""
    with path.open("rb") as file:
        _refuse_device(file, path)
        return file.read()


def read_file(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def open_file(path: Path) -> BinaryIO:
    """A file to read that can be sought: what comes through a pipe is read to its end first. Raises BadRequest."""
    try:
        file = path.open("rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        with file:
            _refuse_device(file, path)
            return BytesIO(file.read())
    except OSError as error:
        raise _unreadable(path, error) from None


def _refuse_device(file: BinaryIO, path: Path) -> None:
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(0, "It is a device", str(path))


def _unreadable(path: Path, error: OSError) -> BadRequest:
    return BadRequest(f"{path} cannot be read: {error.strerror}.")


def is_stream(path: Path) -> bool:
    """Whether this is a pipe or a device, which is written to but not replaced."""
    return (path.exists() and not (path.is_file() or path.is_dir())) or str(path.absolute()).startswith(STREAM_PATHS)


def holds_data(path: Path) -> bool:
    """Whether there is a file that a failed run must not replace by an empty one."""
    return path.is_file() and path.stat().st_size > 0


@contextmanager
def replacing(path: Path, before: Path | None = None) -> Iterator[TextIOWrapper]:
    """A file to write, which takes the place of ``path`` at the end of the block, unless the block raises.

    ``before``: where a file with other content is kept; one with the same content is left alone then.

    It has the permissions of the old file; a new one is its owner's alone. A stream is written to directly. Raises
    BadRequest if the file cannot be written; a stream that nobody reads any more raises BrokenPipeError.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "It is a folder")
        if is_stream(path):
            with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                yield stream
            return
        target = Path(os.path.realpath(path))  # a symbolic link stays
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else NEW_FILE_MODE
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if before and holds_data(target):
                if filecmp.cmp(part, target, shallow=False):
                    return
                _copy(target, before)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadRequest(f"{path} cannot be written: {error.strerror}.") from None


def _copy(path: Path, copy: Path) -> None:
    """Copy a file with its permissions; ``copy`` appears when it is complete."""
    part = copy.with_name(f".{copy.name}.{secrets.token_hex(4)}.part")
    try:
        shutil.copy2(path, part)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder, which is made if it does not exist. Raises BadRequest if they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"{folder} cannot be written: {error.strerror}.") from None
    for name, data in files.items():
        with replacing(folder / name) as file:
            file.buffer.write(data)


def check_folder(folder: Path) -> None:
    """Raise BadRequest if ``write_files`` could not write here, before the work of an hour."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise BadRequest(f"{folder} cannot be written: {existing} is not a folder that this user may write to.")
