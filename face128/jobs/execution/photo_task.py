"""What a worker does with a batch: read the photos, skip those that a re-encoding has done, describe the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from face128.domain.descriptors import to_base64
from face128.errors import BadRequest, ConfigurationError, Face128Error, NotFound, TooLarge
from face128.jobs.execution.backend import Backend, Loss
from face128.jobs.execution.progress import with_progress
from face128.jobs.execution.recipe import DescribedFace, Descriptor, Recipe
from face128.jobs.files import read_bytes

LOSS_SENTENCES = {
    Loss.CRASHED: "The process that worked on this photo died or took longer than FACE128_PHOTO_SECONDS: the file may "
    "be damaged.",
    Loss.OUT_OF_MEMORY: "The memory is not enough for this photo, although no other was worked on.",
}


@dataclass(frozen=True)
class PhotoTask:
    photo: str
    source: str
    """A path, or a URL for fsspec, as the worker sees it."""
    done_sha256: str | None
    """The SHA-256 that the photo had when it was done; None if it never was."""
    data: bytes | None = field(default=None, repr=False)
    """The file's content, if the worker cannot read the file."""


@dataclass(frozen=True)
class PhotoResult:
    photo: str
    version: str
    """The worker's Recipe.version."""
    sha256: str = ""
    unchanged: bool = False
    """The photo has the task's ``done_sha256``: it was not described again."""
    descriptor: str | None = None
    """Base64 of little-endian float32; None if the photo failed."""
    code: str = ""
    error: str = ""
    photo_facts: dict[str, Any] = field(default_factory=dict)
    """As Encoding.photo_facts. Empty if the photo failed."""

    @property
    def done_sha256(self) -> str | None:
        """The photo's SHA-256; None if it must be tried again: a version does not include the size limits."""
        return None if self.code == TooLarge.code else self.sha256


def run_tasks(recipe: Recipe, tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
    """The result of each task. A photo's error is in its result; raises ConfigurationError if there is no engine."""
    version = recipe.version
    files = [read_or_error(task.source) if task.data is None else task.data for task in tasks]
    hashes = ["" if isinstance(file, Face128Error) else hashlib.sha256(file).hexdigest() for file in files]
    changed = [task.done_sha256 != sha256 or not sha256 for task, sha256 in zip(tasks, hashes, strict=True)]
    described = iter(recipe.describe(list(compress(files, changed))))
    return [
        _result(task.photo, version, sha256, next(described) if is_changed else None)
        for task, sha256, is_changed in zip(tasks, hashes, changed, strict=True)
    ]


def _result(photo: str, version: str, sha256: str, outcome: DescribedFace | Face128Error | None) -> PhotoResult:
    if outcome is None:
        return PhotoResult(photo, version, sha256, unchanged=True)
    if isinstance(outcome, Face128Error):
        return PhotoResult(photo, version, sha256, code=outcome.code, error=str(outcome))
    descriptor = to_base64(outcome.descriptor)
    return PhotoResult(photo, version, sha256, descriptor=descriptor, photo_facts=outcome.photo_facts)


def describe_photos(
    photos: Sequence[Path], recipe: Recipe, backend: Backend
) -> tuple[dict[Path, Descriptor], dict[Path, str]]:
    """The descriptor of each photo that has one, in the order of the photos; and of the others the error's code.

    Raises ConfigurationError if the engine cannot be loaded.
    """
    recipe.load()  # in this process too: wrong settings show before any work begins
    finished = backend.run(partial(_describe_batch, recipe), with_progress(photos, len(photos), "photos"), len(photos))
    results = dict(finished)
    failed = {
        photo: result.value if isinstance(result, Loss) else result.code
        for photo, result in results.items()
        if not isinstance(result, DescribedFace)
    }
    return {p: r.descriptor for p in photos if isinstance(r := results[p], DescribedFace)}, failed


def _describe_batch(recipe: Recipe, photos: Sequence[Path]) -> list[DescribedFace | Face128Error]:
    return recipe.describe([read_or_error(str(photo)) for photo in photos])


def read_or_error(source: str) -> bytes | Face128Error:
    """As ``read_photo``, but returns a photo's error. Raises ConfigurationError if a URL needs a missing package."""
    try:
        return read_photo(source)
    except ConfigurationError:
        raise
    except Face128Error as error:
        return error


def read_photo(source: str) -> bytes:
    """The bytes of a path or of a URL. Raises NotFound or BadRequest."""
    try:
        if "://" not in source:
            return read_bytes(Path(source))
        import fsspec

        with fsspec.open(source, "rb") as file:
            return bytes(file.read())
    except ImportError:
        raise ConfigurationError("This kind of URL needs a package: face128[cluster], s3fs, gcsfs, ...") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound("There is no such photo.") from None
    except OSError as error:
        raise BadRequest(f"The photo cannot be read: {error.strerror or type(error).__name__}.") from None
    except Exception as error:  # each kind of storage has its own errors, and none may stop the other photos
        raise BadRequest(f"The photo cannot be fetched: {type(error).__name__}.") from None
