"""face128 evaluate: the error rates of an engine on labelled pairs of photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face128.domain.descriptors import Vector
from face128.domain.model_card import ModelCard
from face128.errors import BadRequest, NoFace, NotFound
from face128.jobs.calibrate.bootstrap import RateEstimate, accuracy, far_and_frr
from face128.jobs.calibrate.described_photos import DescribedPhotos, describe
from face128.jobs.calibrate.photo_pairs import LabelledPair, PhotoPairs, pair_photos, read_pairs, short_name
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.recipe import Recipe
from face128.jobs.wording import counted

DLIB_THRESHOLDS = (0.38, 0.5, 0.6)  # the original service's, one between, and face_recognition's


@dataclass(frozen=True)
class Evaluation:
    """Rates are of the pairs of which both photos have a descriptor."""

    card: ModelCard
    pairs: PhotoPairs
    listed: int
    """The pairs of the list."""
    photos: int
    failed: dict[Path, str]
    """Photos without a descriptor, and the error's code."""
    best_threshold: float
    """At which most pairs are judged rightly."""
    accuracy: RateEstimate
    """At the best threshold."""
    rates: dict[float, tuple[RateEstimate, RateEstimate]]
    """By threshold: FAR and FRR."""

    @property
    def genuine_pairs(self) -> int:
        return int(self.pairs.genuine.sum())

    @property
    def impostor_pairs(self) -> int:
        return int((~self.pairs.genuine).sum())

    @property
    def left_out(self) -> int:
        """The pairs of which a photo has no descriptor."""
        return self.listed - len(self.pairs.genuine)

    @property
    def summary(self) -> str:
        return (
            f"{counted(self.photos, 'photo')} of {counted(self.pairs.person_count, 'person', 'people')}, "
            f"{len(self.failed):,} left out; {counted(self.listed, 'pair')}, {self.left_out:,} left out."
        )

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON of ``face128 evaluate --json``; rates and accuracy are shares, 0..1."""
        undetected = [short_name(photo) for photo, code in self.failed.items() if code == NoFace.code]
        return {
            "model": self.card.name,
            "pipeline": self.card.pipeline,
            "people": self.pairs.person_count,
            "photos": self.photos,
            "undetected": {"count": len(undetected), "photos": undetected},
            "failed": {short_name(photo): code for photo, code in self.failed.items() if code != NoFace.code},
            "pairs": self.listed,
            "genuine_pairs": self.genuine_pairs,
            "impostor_pairs": self.impostor_pairs,
            "left_out": self.left_out,
            "accuracy": self.accuracy.value,
            "accuracy_interval": [self.accuracy.low, self.accuracy.high],
            "best_threshold": self.best_threshold,
            "rates": [self._rate(threshold) for threshold in self.rates],
        }

    def _rate(self, threshold: float) -> dict[str, Any]:
        far, frr = self.rates[threshold]
        return {
            "threshold": threshold,
            "far": far.value,
            "far_interval": [far.low, far.high],
            "accepted_impostor_pairs": round(far.value * self.impostor_pairs),
            "frr": frr.value,
            "frr_interval": [frr.low, frr.high],
            "refused_genuine_pairs": round(frr.value * self.genuine_pairs),
        }


def evaluate(pairs: Path, images: Path, recipe: Recipe, backend: Backend) -> list[Evaluation]:
    """One for each model that describes the photos, and for their pair. Each photo of the list is described once.

    Raises BadRequest if the list cannot be read, or if one kind of pair has no pair left.
    """
    listed = read_pairs(pairs, images)
    photos = list(dict.fromkeys(photo for pair in listed for photo in (pair.first, pair.second)))
    described = describe(photos, recipe, backend)
    if set(described[0].failed.values()) == {NotFound.code} and not described[0].vectors:
        raise BadRequest(f"None of the photos that {pairs} names is in {images}: the first would be {photos[0]}.")
    return [measure(each, listed, images) for each in described]


def measure(described: DescribedPhotos, listed: list[LabelledPair], images: Path) -> Evaluation:
    """Raises BadRequest unless there are photos for a pair of each kind."""
    left = {pair.same for pair in listed if pair.first in described.vectors and pair.second in described.vectors}
    if left != {True, False}:
        raise BadRequest(
            f"No pair of {'one person' if True not in left else 'two people'} is left to judge: of the "
            f"{described.count} photos of the list in {images}, {len(described.vectors)} show a face."
        )
    card = described.card
    measured = pair_photos(described.vectors, card.metric, listed)
    genuine, impostor = (measured.distances[measured.genuine == same].astype(np.float64) for same in (True, False))
    best, _ = best_threshold(genuine, impostor)
    thresholds = usual_thresholds(card)
    return Evaluation(
        card,
        measured,
        len(listed),
        described.count,
        described.failed,
        best,
        accuracy(measured, best),
        dict(zip(thresholds, zip(*far_and_frr(measured, thresholds), strict=True), strict=True)),
    )


def usual_thresholds(card: ModelCard) -> list[float]:
    """The thresholds that are reported of a model: its own, its cap, and one between."""
    if card.cohort_cap == DLIB_THRESHOLDS[-1]:
        return sorted({*DLIB_THRESHOLDS, card.threshold})
    return [card.threshold, round((card.threshold + card.cohort_cap) / 2, 3), card.cohort_cap]


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
