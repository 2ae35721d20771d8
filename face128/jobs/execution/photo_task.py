"""What a worker does for some photos of a re-encoding: read them, see which are done already, describe the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

from face128.domain.descriptors import to_base64
from face128.errors import BadRequest, ConfigurationError, Face128Error, NotFound
from face128.jobs.execution.recipe import Descriptor, Recipe


@dataclass(frozen=True)
class Task:
    photo: str
    source: str
    """A path, or a URL for fsspec, as the worker sees it."""
    known: str | None
    """The SHA-256 of the photo as it was when it was done; None if it never was."""
    data: bytes | None = field(default=None, repr=False)
    """The file, where the worker does not see it."""


@dataclass(frozen=True)
class Outcome:
    photo: str
    version: str
    """Recipe.version of whoever did it."""
    sha256: str = ""
    unchanged: bool = False
    """The photo is the one that is known: nothing was done."""
    descriptor: str | None = None
    """Base64 of little-endian float32; None where the photo failed."""
    code: str = ""
    error: str = ""


def work(recipe: Recipe, tasks: Sequence[Task]) -> list[Outcome]:
    """The outcome of each. Raises nothing for what is wrong with a photo, ConfigurationError if there is no engine."""
    version = recipe.version
    files = [file(task.source) if task.data is None else task.data for task in tasks]
    hashes = ["" if isinstance(each, Face128Error) else hashlib.sha256(each).hexdigest() for each in files]
    new = [task.known != sha256 or not sha256 for task, sha256 in zip(tasks, hashes, strict=True)]
    described = iter(recipe.describe(list(compress(files, new))))
    return [
        _outcome(task.photo, version, sha256, next(described) if is_new else None)
        for task, sha256, is_new in zip(tasks, hashes, new, strict=True)
    ]


def _outcome(photo: str, version: str, sha256: str, found: Descriptor | Face128Error | None) -> Outcome:
    if found is None:
        return Outcome(photo, version, sha256, unchanged=True)
    if isinstance(found, Face128Error):
        return Outcome(photo, version, sha256, code=found.code, error=str(found))
    return Outcome(photo, version, sha256, descriptor=to_base64(found))


def file(source: str) -> bytes | Face128Error:
    """What ``read`` gives, or raises for the photo."""
    try:
        return read(source)
    except ConfigurationError:
        raise
    except Face128Error as error:
        return error


def read(source: str) -> bytes:
    """The bytes of a path or of a URL. Raises NotFound or BadRequest."""
    try:
        if "://" in source:
            return _fetch(source)
        return Path(source).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound("There is no such photo.") from None
    except OSError as error:
        raise BadRequest(f"The photo cannot be read: {error.strerror or type(error).__name__}.") from None


def _fetch(url: str) -> bytes:
    try:
        import fsspec

        with fsspec.open(url, "rb") as file:
            data: bytes = file.read()
    except ImportError:
        raise ConfigurationError("This kind of URL needs a package: face128[cluster], s3fs, gcsfs, ...") from None
    except OSError:
        raise  # read() tells what is missing from what is forbidden
    except Exception as error:  # every kind of storage has errors of its own, and none may stop the other photos
        raise BadRequest(f"The photo cannot be fetched: {type(error).__name__}.") from None
    return data
