"""face128 calibrate: what each threshold costs, measured on one's own photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face128.domain.model_card import ModelCard
from face128.errors import BadRequest
from face128.jobs.calibrate.bootstrap import Rate, rates, threshold_for
from face128.jobs.calibrate.evaluate import THRESHOLDS
from face128.jobs.calibrate.gallery_size_risk import counted, estimated
from face128.jobs.calibrate.lfw_pairs import read_pairs
from face128.jobs.calibrate.photo_pairs import Sample, sample
from face128.jobs.execution.describe_photos import describe
from face128.jobs.execution.recipe import Recipe

WANTED = (0.01, 0.001, 0.0001)
ENROLLED = (10, 30, 100, 300, 1000, 3000, 10_000)
STEPS = 100  # thresholds on a curve
WORST = 8  # pairs of each kind to look at


@dataclass(frozen=True)
class WorstPair:
    first: Path
    second: Path
    distance: float


@dataclass(frozen=True)
class Calibration:
    card: ModelCard
    sample: Sample
    failed: dict[Path, str]
    """Photos without a descriptor, and the code of the error."""
    thresholds: list[float]
    far: list[Rate]
    frr: list[Rate]
    """At each of ``thresholds``; the card's own is among them."""
    wanted: dict[float, float | None]
    """For a FAR that is wanted the threshold, or None where the people are too few to say."""
    growth: dict[float, dict[int, float]]
    """For some thresholds the share of strangers accepted as somebody, by the number enrolled."""
    most_like: list[WorstPair]
    """The nearest photos of two people."""
    least_like: list[WorstPair]
    """The farthest photos of one person."""

    @property
    def measured_growth(self) -> int:
        """Up to so many enrolled the growth is counted; beyond it is estimated."""
        return self.sample.person_count - 1

    def at(self, threshold: float) -> tuple[Rate, Rate]:
        """FAR and FRR at the nearest threshold that was measured."""
        index = int(np.abs(np.array(self.thresholds) - threshold).argmin())
        return self.far[index], self.frr[index]

    def answer(self) -> dict[str, Any]:
        """The JSON of ``face128 calibrate --json``; rates are shares, 0..1."""
        curve = zip(self.thresholds, self.far, self.frr, strict=True)
        far, frr = self.at(self.card.threshold)
        return {
            "model": self.card.name,
            "pipeline": self.card.pipeline,
            "people": self.sample.person_count,
            "photos": len(self.sample.photos),
            "failed": {photo.name: code for photo, code in self.failed.items()},
            "genuine_pairs": int(self.sample.same.sum()),
            "impostor_pairs": int((~self.sample.same).sum()),
            "at_threshold": {"threshold": self.card.threshold, "far": asdict(far), "frr": asdict(frr)},
            "threshold_for_far": {str(far): threshold for far, threshold in self.wanted.items()},
            "strangers_accepted": {str(threshold): shares for threshold, shares in self.growth.items()},
            "most_like": [_wire(pair) for pair in self.most_like],
            "least_like": [_wire(pair) for pair in self.least_like],
            "curve": [{"threshold": t, "far": asdict(a), "frr": asdict(r)} for t, a, r in curve],
        }


def calibrate(photos: Path, recipe: Recipe, processes: int, pairs: Path | None = None) -> Calibration:
    """Measure on ``photos``, a folder for each person; or on the pairs of a list in LFW's format.

    Raises BadRequest unless there is a pair of one person and a pair of two.
    """
    listed = read_pairs(pairs, photos) if pairs else None
    if listed is None:
        files = sorted(path for path in photos.glob("*/*") if path.is_file() and not path.name.startswith("."))
    else:
        files = list(dict.fromkeys(photo for pair in listed for photo in (pair.first, pair.second)))
    if not files:
        raise BadRequest("There are no photos: a folder for each person is wanted, PHOTOS/person/any.jpg.")
    described = describe(files, recipe, processes)
    card = recipe.load().card
    measured = sample(described.descriptors, card.metric, listed)
    low, high = float(measured.apart.min()), float(np.quantile(measured.apart[~measured.same], 0.5))
    grid = sorted({*np.linspace(max(low - 0.02, 0), high, STEPS).tolist(), *THRESHOLDS, card.threshold})
    far, frr = rates(measured, grid)
    everyone = measured if listed is None else sample(described.descriptors, card.metric)
    return Calibration(
        card,
        measured,
        described.failed,
        grid,
        far,
        frr,
        {wanted: threshold_for(measured, wanted) for wanted in WANTED},
        {t: _growth(everyone, t, far[grid.index(t)]) for t in sorted({*THRESHOLDS, card.threshold})},
        _worst(measured, ~measured.same, nearest=True),
        _worst(measured, measured.same, nearest=False),
    )


def _growth(everyone: Sample, threshold: float, far: Rate) -> dict[int, float]:
    """Each person in turn plays the stranger; of everybody the first photo counts."""
    _, firsts = np.unique(everyone.people, return_index=True)
    chosen = np.isin(everyone.first, firsts) & np.isin(everyone.second, firsts) & (everyone.apart <= threshold)
    near = everyone.people[np.concatenate([everyone.first[chosen], everyone.second[chosen]])]
    neighbours = np.bincount(near, minlength=everyone.person_count)
    others = everyone.person_count - 1
    # Where no pair was accepted, the FAR may still be anything up to the end of its interval.
    chance = far.value or far.high
    return {n: counted(neighbours, others, n) if n <= others else estimated(chance, n) for n in ENROLLED}


def _worst(measured: Sample, chosen: Any, *, nearest: bool) -> list[WorstPair]:
    rows = np.flatnonzero(chosen)
    order = np.argsort(measured.apart[rows] * (1 if nearest else -1), kind="stable")[:WORST]
    return [
        WorstPair(measured.photos[measured.first[i]], measured.photos[measured.second[i]], float(measured.apart[i]))
        for i in rows[order]
    ]


def _wire(pair: WorstPair) -> dict[str, Any]:
    def name(photo: Path) -> str:
        return f"{photo.parent.name}/{photo.name}"

    return {"first": name(pair.first), "second": name(pair.second), "distance": pair.distance}
