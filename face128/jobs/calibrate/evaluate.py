"""face128 evaluate: the error rates of an engine on labelled pairs of photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face128.domain.descriptors import distance
from face128.domain.model_card import ModelCard
from face128.errors import BadRequest, NoFace
from face128.jobs.calibrate.error_rates import Distances
from face128.jobs.calibrate.lfw_pairs import read_pairs
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.describe_photos import describe_photos
from face128.jobs.execution.recipe import Recipe

THRESHOLDS = (0.38, 0.5, 0.6)  # the original service's, one between, and face_recognition's


@dataclass(frozen=True)
class Evaluation:
    card: ModelCard
    photo_count: int
    undetected: list[str]
    """Photos without a face, as Name_0001.jpg."""
    failed: dict[str, str]
    """Photos with another error, and its code."""
    pair_count: int
    left_out: int
    """Pairs with a photo without a descriptor: not in the rates."""
    distances: Distances

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``face128 evaluate --json``; rates and accuracy are shares, 0..1."""
        threshold, accuracy = self.distances.best()
        return {
            "model": self.card.name,
            "pipeline": self.card.pipeline,
            "photos": self.photo_count,
            "undetected": {"count": len(self.undetected), "photos": self.undetected},
            "failed": self.failed,
            "pairs": self.pair_count,
            "left_out": self.left_out,
            "accuracy": accuracy,
            "best_threshold": threshold,
            "rates": [
                {"threshold": t, "far": self.distances.far(t), "frr": self.distances.frr(t)}
                for t in sorted({*THRESHOLDS, self.card.threshold})
            ],
        }


def evaluate(pairs: Path, images: Path, recipe: Recipe, backend: Backend) -> Evaluation:
    """Describe each photo of the list once and judge its pairs. Of several faces the one in the middle counts.

    Raises BadRequest if the list cannot be read, or if one kind of pair has no pair left.
    """
    listed = read_pairs(pairs, images)
    photos = list(dict.fromkeys(photo for pair in listed for photo in (pair.first, pair.second)))
    described = describe_photos(photos, recipe, backend)
    card = recipe.load().card
    found = described.descriptors
    judged: dict[bool, list[float]] = {True: [], False: []}
    for pair in listed:
        if pair.first in found and pair.second in found:
            judged[pair.same].append(distance(found[pair.first], found[pair.second], card.metric))
    if not (judged[True] and judged[False]):
        raise BadRequest("No pair is left to judge: are the photos at IMAGES/Name/Name_0001.jpg?")
    return Evaluation(
        card,
        len(photos),
        [photo.name for photo, code in described.failed.items() if code == NoFace.code],
        {photo.name: code for photo, code in described.failed.items() if code != NoFace.code},
        len(listed),
        len(listed) - len(judged[True]) - len(judged[False]),
        Distances(np.sort(judged[True]), np.sort(judged[False])),
    )
