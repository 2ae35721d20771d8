"""face128 evaluate: the error rates of an engine on labelled pairs of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from face128.domain.descriptors import Vector, distance
from face128.errors import BadRequest, NoFace
from face128.jobs.calibrate.photo_pairs import read_pairs
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.photo_task import describe_photos
from face128.jobs.execution.recipe import Recipe

THRESHOLDS = (0.38, 0.5, 0.6)  # the original service's, one between, and face_recognition's


def evaluate(pairs: Path, images: Path, recipe: Recipe, backend: Backend) -> dict[str, Any]:
    """The JSON of ``face128 evaluate --json``: rates and accuracy are shares, 0..1, of the pairs that are not left out.

    Describes each photo of the list once. A pair is left out if one of its photos has no descriptor.
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
    genuine, impostor = np.array(judged[True]), np.array(judged[False])
    threshold, accuracy = best_threshold(genuine, impostor)
    undetected = [photo.name for photo, code in failed.items() if code == NoFace.code]
    return {
        "model": card.name,
        "pipeline": card.pipeline,
        "photos": len(photos),
        "undetected": {"count": len(undetected), "photos": undetected},
        "failed": {photo.name: code for photo, code in failed.items() if code != NoFace.code},
        "pairs": len(listed),
        "left_out": len(listed) - len(genuine) - len(impostor),
        "accuracy": accuracy,
        "best_threshold": threshold,
        "rates": [error_rates(genuine, impostor, t) for t in sorted({*THRESHOLDS, card.threshold})],
    }


def error_rates(genuine: Vector, impostor: Vector, threshold: float) -> dict[str, float]:
    """The shares of impostor distances within the threshold, inclusive as everywhere, and of genuine ones beyond it."""
    far, frr = float(np.mean(impostor <= threshold)), float(np.mean(genuine > threshold))
    return {"threshold": threshold, "far": far, "frr": frr}


def best_threshold(genuine: Vector, impostor: Vector) -> tuple[float, float]:
    """The threshold with the highest accuracy, and that accuracy: the share of pairs that are judged rightly.

    Of several the smallest. It is one of the distances, or just below all of them: in between nothing changes.
    """
    distances = np.unique(np.concatenate([genuine, impostor]))
    candidates = np.concatenate([[np.nextafter(distances[0], -np.inf)], distances])
    accepted = np.searchsorted(np.sort(genuine), candidates, side="right")
    refused = len(impostor) - np.searchsorted(np.sort(impostor), candidates, side="right")
    right = accepted + refused
    best = int(right.argmax())
    return float(candidates[best]), float(right[best] / (len(genuine) + len(impostor)))
