"""face128 evaluate: the error rates of an engine on labelled pairs of photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face128.domain.descriptors import Vector, distance
from face128.errors import BadRequest, NoFace
from face128.jobs.calibrate.photo_pairs import read_pairs
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.describe_photos import describe_photos
from face128.jobs.execution.recipe import Recipe

THRESHOLDS = (0.38, 0.5, 0.6)  # the original service's, one between, and face_recognition's


@dataclass(frozen=True)
class Distances:
    """Distances of pairs of photos, sorted."""

    genuine: Vector
    """Between photos of one person."""
    impostor: Vector
    """Between photos of two people."""

    def far(self, threshold: float) -> float:
        """The share of impostor pairs within the threshold, inclusive as everywhere."""
        return int(np.searchsorted(self.impostor, threshold, side="right")) / len(self.impostor)

    def frr(self, threshold: float) -> float:
        """The share of genuine pairs beyond the threshold."""
        return 1 - int(np.searchsorted(self.genuine, threshold, side="right")) / len(self.genuine)

    def best(self) -> tuple[float, float]:
        """The threshold with the highest accuracy, and that accuracy: the share of pairs that are judged rightly.

        Of several the smallest. It is one of the distances, or just below all of them: in between nothing changes.
        """
        distances = np.unique(np.concatenate([self.genuine, self.impostor]))
        candidates = np.concatenate([[np.nextafter(distances[0], -np.inf)], distances])
        accepted = np.searchsorted(self.genuine, candidates, side="right")
        refused = len(self.impostor) - np.searchsorted(self.impostor, candidates, side="right")
        right = accepted + refused
        best = int(right.argmax())
        return float(candidates[best]), float(right[best] / (len(self.genuine) + len(self.impostor)))


@dataclass(frozen=True)
class Evaluation:
    """As in the JSON of ``face128 evaluate --json``; rates and accuracy are shares, 0..1."""

    model: str
    pipeline: str
    photos: int
    undetected: dict[str, Any]
    """The count and the names (Name_0001.jpg) of photos without a face."""
    failed: dict[str, str]
    """Photos with another error, and its code."""
    pairs: int
    left_out: int
    """Pairs with a photo without a descriptor: not in the rates."""
    accuracy: float
    best_threshold: float
    rates: list[dict[str, float]]
    """threshold, far and frr."""


def evaluate(pairs: Path, images: Path, recipe: Recipe, backend: Backend) -> Evaluation:
    """Describe each photo of the list once and judge its pairs. Of several faces the one in the middle counts.

    Raises BadRequest if the list cannot be read, or if one kind of pair has no pair left.
    """
    listed = read_pairs(pairs, images)
    photos = list(dict.fromkeys(photo for pair in listed for photo in (pair.first, pair.second)))
    found, failed = describe_photos(photos, recipe, backend)
    card = recipe.load().card
    judged: dict[bool, list[float]] = {True: [], False: []}
    for pair in listed:
        if pair.first in found and pair.second in found:
            judged[pair.same].append(distance(found[pair.first], found[pair.second], card.metric))
    if not (judged[True] and judged[False]):
        raise BadRequest("No pair is left to judge: are the photos at IMAGES/Name/Name_0001.jpg?")
    distances = Distances(np.sort(judged[True]), np.sort(judged[False]))
    best_threshold, accuracy = distances.best()
    undetected = [photo.name for photo, code in failed.items() if code == NoFace.code]
    return Evaluation(
        card.name,
        card.pipeline,
        len(photos),
        {"count": len(undetected), "photos": undetected},
        {photo.name: code for photo, code in failed.items() if code != NoFace.code},
        len(listed),
        len(listed) - len(judged[True]) - len(judged[False]),
        accuracy,
        best_threshold,
        [
            {"threshold": t, "far": distances.far(t), "frr": distances.frr(t)}
            for t in sorted({*THRESHOLDS, card.threshold})
        ],
    )
