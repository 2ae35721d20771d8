"""face128 calibrate: the error rates of each threshold, measured on your own photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.model_card import ModelCard
from face128.errors import BadRequest
from face128.jobs.calibrate.bootstrap import RateEstimate, far_and_frr, threshold_for_far
from face128.jobs.calibrate.evaluate import THRESHOLDS
from face128.jobs.calibrate.photo_pairs import PhotoPairs, pair_photos, read_pairs
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.photo_task import describe_photos
from face128.jobs.execution.recipe import Recipe

WANTED_FARS = (0.01, 0.001, 0.0001)
GALLERY_SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
CURVE_POINTS = 100
WORST_PAIRS = 8  # of each kind, for a person to look at

WorstPair = tuple[Path, Path, float]
"""Two photos and their distance."""


@dataclass(frozen=True)
class Calibration:
    card: ModelCard
    pairs: PhotoPairs
    failed: dict[Path, str]
    """Photos without a descriptor, and the error's code."""
    thresholds: list[float]
    far: list[RateEstimate]
    frr: list[RateEstimate]
    """At each of ``thresholds``; the card's own is among them."""
    threshold_for_far: dict[float, float | None]
    """By the wanted FAR; None if there are too few people to say."""
    gallery_size_risk: dict[float, dict[int, float]]
    """By threshold and number enrolled, the share of strangers who are accepted as some member."""
    most_like: list[WorstPair]
    """The nearest photos of two people."""
    least_like: list[WorstPair]
    """The farthest photos of one person."""

    @property
    def max_counted_size(self) -> int:
        """Up to this number enrolled ``gallery_size_risk`` is counted; beyond it is extrapolated."""
        return self.pairs.person_count - 1

    def at(self, threshold: float) -> tuple[RateEstimate, RateEstimate]:
        """FAR and FRR at the nearest threshold that was measured."""
        index = int(np.abs(np.array(self.thresholds) - threshold).argmin())
        return self.far[index], self.frr[index]

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``face128 calibrate --json``; rates are shares, 0..1."""
        curve = zip(self.thresholds, self.far, self.frr, strict=True)
        far, frr = self.at(self.card.threshold)
        return {
            "model": self.card.name,
            "pipeline": self.card.pipeline,
            "people": self.pairs.person_count,
            "photos": len(self.pairs.photos),
            "failed": {photo.name: code for photo, code in self.failed.items()},
            "genuine_pairs": int(self.pairs.genuine.sum()),
            "impostor_pairs": int((~self.pairs.genuine).sum()),
            "at_threshold": {"threshold": self.card.threshold, "far": asdict(far), "frr": asdict(frr)},
            "threshold_for_far": {str(far): threshold for far, threshold in self.threshold_for_far.items()},
            "strangers_accepted": {str(threshold): shares for threshold, shares in self.gallery_size_risk.items()},
            "most_like": _pairs_json(self.most_like),
            "least_like": _pairs_json(self.least_like),
            "curve": [{"threshold": t, "far": asdict(a), "frr": asdict(r)} for t, a, r in curve],
        }


def calibrate(photos: Path, recipe: Recipe, backend: Backend, pairs: Path | None = None) -> Calibration:
    """Measure on all pairs of ``photos``, a folder for each person, or on a list of pairs in LFW's format.

    Raises BadRequest unless there is a pair of one person and a pair of two.
    """
    listed = read_pairs(pairs, photos) if pairs else None
    if listed is None:
        files = sorted(path for path in photos.glob("*/*") if path.is_file() and not path.name.startswith("."))
    else:
        files = list(dict.fromkeys(photo for pair in listed for photo in (pair.first, pair.second)))
    if not files:
        raise BadRequest("There are no photos. Put them into a folder for each person: PHOTOS/person/any.jpg.")
    descriptors, failed = describe_photos(files, recipe, backend)
    card = recipe.load().card
    measured = pair_photos(descriptors, card.metric, listed)
    low, high = float(measured.distances.min()), float(np.median(measured.distances[~measured.genuine]))
    grid = sorted({*np.linspace(max(low - 0.02, 0), high, CURVE_POINTS).tolist(), *THRESHOLDS, card.threshold})
    far, frr = far_and_frr(measured, grid)
    all_pairs = measured if listed is None else pair_photos(descriptors, card.metric)
    return Calibration(
        card,
        measured,
        failed,
        grid,
        far,
        frr,
        {wanted: threshold_for_far(measured, wanted) for wanted in WANTED_FARS},
        {t: _gallery_size_risk(all_pairs, t, far[grid.index(t)]) for t in sorted({*THRESHOLDS, card.threshold})},
        _worst_pairs(measured, ~measured.genuine, nearest=True),
        _worst_pairs(measured, measured.genuine, nearest=False),
    )


def _gallery_size_risk(pairs: PhotoPairs, threshold: float, far: RateEstimate) -> dict[int, float]:
    """By the number enrolled. Each person in turn is the stranger; only each person's first photo counts."""
    _, first_photos = np.unique(pairs.people, return_index=True)
    of_first_photos = np.isin(pairs.first, first_photos) & np.isin(pairs.second, first_photos)
    accepted = of_first_photos & (pairs.distances <= threshold)
    people = pairs.people[np.concatenate([pairs.first[accepted], pairs.second[accepted]])]
    neighbours = np.bincount(people, minlength=pairs.person_count)
    others = pairs.person_count - 1
    # More members than there are people to count are independent trials of the FAR. If no pair was accepted, it may
    # still be anything up to the end of its interval.
    chance = far.value or far.high
    return {
        size: counted_risk(neighbours, others, size) if size <= others else 1 - (1 - chance) ** size
        for size in GALLERY_SIZES
    }


def counted_risk(neighbours: npt.NDArray[np.int64], others: int, enrolled: int) -> float:
    """The share of strangers with at least one of ``enrolled`` members, drawn from ``others``, within the threshold.

    ``neighbours``: for each stranger, the number of the others within the threshold. Exact: one minus the
    hypergeometric chance of drawing none of them. ``enrolled`` is at most ``others``.
    """
    chance_of_none = np.cumprod([1.0, *(1 - enrolled / np.arange(others, 0, -1))])  # by the number of neighbours
    return float(np.mean(1 - chance_of_none[neighbours]))


def _worst_pairs(pairs: PhotoPairs, chosen: npt.NDArray[np.bool_], *, nearest: bool) -> list[WorstPair]:
    rows = np.flatnonzero(chosen)
    order = np.argsort(pairs.distances[rows] * (1 if nearest else -1), kind="stable")[:WORST_PAIRS]
    photos = pairs.photos
    return [(photos[pairs.first[i]], photos[pairs.second[i]], float(pairs.distances[i])) for i in rows[order]]


def _pairs_json(pairs: list[WorstPair]) -> list[dict[str, Any]]:
    return [{"first": short_name(a), "second": short_name(b), "distance": distance} for a, b, distance in pairs]


def short_name(photo: Path) -> str:
    return f"{photo.parent.name}/{photo.name}"
