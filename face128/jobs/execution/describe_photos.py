"""The descriptors of many photos, for calibrate, evaluate and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from face128.errors import Face128Error
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.photo_task import CRASHED, read_or_error
from face128.jobs.execution.progress import with_progress
from face128.jobs.execution.recipe import Descriptor, Recipe


def describe_photos(
    photos: Sequence[Path], recipe: Recipe, backend: Backend
) -> tuple[dict[Path, Descriptor], dict[Path, str]]:
    """The descriptor of each photo that has one, in the order of the photos; and of the others the error's code.

    Raises ConfigurationError if the engine cannot be loaded.
    """
    recipe.load()  # in this process too: wrong settings show before any work begins
    progress = with_progress(photos, len(photos), "photos")
    finished = backend.run(partial(_describe_batch, recipe), progress, len(photos))
    results = dict(finished)
    failed = {
        photo: CRASHED if result is None else result.code
        for photo, result in results.items()
        if not isinstance(result, np.ndarray)
    }
    return {p: r for p in photos if isinstance(r := results[p], np.ndarray)}, failed


def _describe_batch(recipe: Recipe, photos: Sequence[Path]) -> list[Descriptor | Face128Error]:
    return recipe.describe([read_or_error(str(photo)) for photo in photos])
