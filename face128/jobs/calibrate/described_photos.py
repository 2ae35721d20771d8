"""The descriptors of labelled photos, by each engine that looks at them, and their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.fusion import fuse
from face128.domain.model_card import ModelCard, pair_card
from face128.errors import Face128Error
from face128.jobs.execution.backend import Backend, Loss
from face128.jobs.execution.photo_task import read_or_error
from face128.jobs.execution.recipe import DescribedFace, Recipe
from face128.terminal.progress import Progress


@dataclass(frozen=True)
class DescribedPhotos:
    """By one model, or the pairs of two."""

    card: ModelCard
    vectors: dict[Path, npt.NDArray[Any]]
    """The descriptor of each photo that has one, in the order of the photos."""
    failed: dict[Path, str]
    """The other photos, and the error's code."""

    @property
    def count(self) -> int:
        return len(self.vectors) + len(self.failed)


def describe(photos: Sequence[Path], recipe: Recipe, backend: Backend) -> list[DescribedPhotos]:
    """Look at each photo once: one for each engine of the recipe, and one for the pairs of two networks.

    Raises ConfigurationError if an engine cannot be loaded.
    """
    recipe.load()  # in this process too: wrong settings show before any work begins
    results = {}
    with Progress("Encoding photos", len(photos)) as bar:
        for photo, result in backend.run(partial(_describe_batch, recipe), photos, len(photos)):
            results[photo] = result
            bar.advance()
    failed = {
        photo: result.value if isinstance(result, Loss) else result.code
        for photo, result in results.items()
        if not isinstance(result, DescribedFace)
    }
    faces = {photo: face for photo in photos if isinstance(face := results[photo], DescribedFace)}
    found = [
        DescribedPhotos(card, {photo: face.descriptors[place] for photo, face in faces.items()}, failed)
        for place, card in enumerate(recipe.cards)
    ]
    return found + [paired for two in permutations(found, 2) if (paired := pairs_of(*two))]


def pairs_of(first: DescribedPhotos, second: DescribedPhotos) -> DescribedPhotos | None:
    """The pairs of two models' descriptors of the same photos; None if these models make no pair."""
    card = pair_card(first.card, second.card)
    if card is None:
        return None
    sides = (np.array(list(each.vectors.values())) for each in (first, second))
    vectors = fuse(*sides) if first.vectors else ()
    return DescribedPhotos(card, dict(zip(first.vectors, vectors, strict=True)), first.failed)


def _describe_batch(recipe: Recipe, photos: Sequence[Path]) -> list[DescribedFace | Face128Error]:
    return recipe.describe([read_or_error(str(photo)) for photo in photos])
