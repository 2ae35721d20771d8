"""What a worker does with a batch: read the photos, skip those that a re-encoding has done, describe the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from face128.domain.descriptors import to_base64
from face128.errors import BadRequest, ConfigurationError, Face128Error, NotFound, TooLarge
from face128.jobs.execution.backend import Loss
from face128.jobs.execution.recipe import DescribedFace, Recipe
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
    done: tuple[str | None, ...]
    """For each engine: the SHA-256 that the photo had when it was done; None if it never was."""
    data: bytes | None = field(default=None, repr=False)
    """The file's content, if the worker cannot read the file."""


@dataclass(frozen=True)
class PhotoResult:
    """Of one engine: a line of the journal."""

    photo: str
    version: str
    """The worker's, of Recipe.versions."""
    sha256: str = ""
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


def run_tasks(recipe: Recipe, tasks: Sequence[PhotoTask]) -> list[list[PhotoResult]]:
    """The results of each task: one for each engine that has not done this photo yet, so none for an unchanged photo.

    A photo's error is in its results; raises ConfigurationError if an engine cannot be loaded.
    """
    versions = recipe.versions
    files = [read_or_error(task.source) if task.data is None else task.data for task in tasks]
    hashes = ["" if isinstance(file, Face128Error) else hashlib.sha256(file).hexdigest() for file in files]
    missing = [
        tuple(place for place, done in enumerate(task.done) if done != sha256 or not sha256)
        for task, sha256 in zip(tasks, hashes, strict=True)
    ]
    results: list[list[PhotoResult]] = [[] for _ in tasks]
    for engines in set(missing) - {()}:
        rows = [row for row, each in enumerate(missing) if each == engines]
        outcomes = recipe.of(engines).describe([files[row] for row in rows])
        for row, outcome in zip(rows, outcomes, strict=True):
            wanted = [versions[place] for place in engines]
            results[row] = _results(tasks[row].photo, wanted, hashes[row], outcome)
    return results


def _results(
    photo: str, versions: Sequence[str], sha256: str, outcome: DescribedFace | Face128Error
) -> list[PhotoResult]:
    """One for each version."""
    if isinstance(outcome, Face128Error):
        return [PhotoResult(photo, version, sha256, code=outcome.code, error=str(outcome)) for version in versions]
    return [
        PhotoResult(photo, version, sha256, descriptor=to_base64(descriptor), photo_facts=outcome.photo_facts)
        for version, descriptor in zip(versions, outcome.descriptors, strict=True)
    ]


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
