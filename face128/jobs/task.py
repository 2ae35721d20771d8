"""What a worker does for one photo of a re-encoding: read it, see whether it is done already, describe it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from face128.descriptors import to_base64
from face128.errors import BadRequest, ConfigurationError, Face128Error, NotFound
from face128.jobs.recipe import Recipe


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


def work(recipe: Recipe, task: Task) -> Outcome:
    """Never raises for what is wrong with a photo; raises ConfigurationError where the engine cannot be had."""
    sha256 = ""
    try:
        data = read(task.source) if task.data is None else task.data
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 == task.known:
            return Outcome(task.photo, "", sha256, unchanged=True)
        return Outcome(task.photo, recipe.version, sha256, descriptor=to_base64(recipe.describe(data)))
    except ConfigurationError:
        raise
    except Face128Error as error:
        return Outcome(task.photo, recipe.version, sha256, code=error.code, error=str(error))


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
