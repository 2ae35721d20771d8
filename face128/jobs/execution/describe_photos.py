"""The descriptors of many photos, for the tools that measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face128.errors import Face128Error
from face128.jobs.execution.backends import LocalWorkers
from face128.jobs.execution.local_backend import run_in_groups
from face128.jobs.execution.photo_task import file
from face128.jobs.execution.progress import shown
from face128.jobs.execution.recipe import Descriptor, Recipe

CRASHED = "crashed"


@dataclass(frozen=True)
class Described:
    descriptors: dict[Path, npt.NDArray[np.float32]]
    """(dimension,) for each photo that has one, in the order of the photos."""
    failed: dict[Path, str]
    """The error's code for each photo that has none."""


def describe(photos: Sequence[Path], recipe: Recipe, processes: int) -> Described:
    """Describe every photo, in as many processes. Raises ConfigurationError where the engine cannot be had."""
    recipe.load()  # in this process too: what is wrong with the settings shows before any work begins
    progress = shown(photos, len(photos), "photos")
    described = run_in_groups(LocalWorkers(processes).run, partial(_describe, recipe), progress, len(photos))
    outcomes = dict(described)
    found: dict[Path, npt.NDArray[np.float32]] = {}
    failed: dict[Path, str] = {}
    for photo in photos:
        outcome = outcomes[photo]
        if isinstance(outcome, np.ndarray):
            found[photo] = outcome
        else:
            failed[photo] = CRASHED if outcome is None else outcome.code
    return Described(found, failed)


def _describe(recipe: Recipe, photos: Sequence[Path]) -> list[Descriptor | Face128Error]:
    return recipe.describe([file(str(photo)) for photo in photos])
