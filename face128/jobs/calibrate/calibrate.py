"""face128 calibrate: the error rates of each threshold, measured on your own photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.model_card import ModelCard
from face128.errors import BadRequest
from face128.jobs.audit.one_person import suspected_pairs
from face128.jobs.calibrate.bootstrap import RateEstimate, far_and_frr, greatest_threshold, threshold_for_far
from face128.jobs.calibrate.described_photos import DescribedPhotos, describe
from face128.jobs.calibrate.evaluate import usual_thresholds
from face128.jobs.calibrate.photo_pairs import LabelledPair, PhotoPairs, pair_photos, read_pairs, short_name
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.recipe import Recipe
from face128.jobs.reencode.folder_photos import PHOTO_SUFFIXES, is_photo
from face128.matching.stranger_estimates import share_of_strangers

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
    suspects: list[WorstPair]
    """The nearest photos of two folders that look like one person; the most suspicious first."""
    thresholds: list[float]
    far: list[RateEstimate]
    frr: list[RateEstimate]
    """At each of ``thresholds``; the card's own is among them."""
    threshold_for_far: dict[float, float | None]
    """By the wanted FAR; None if there are too few people to say."""
    greatest_thresholds: dict[float, float | None]
    """By the wanted FAR, on these very pairs: for comparisons with other models. None if it is less than one pair."""
    gallery_size_risk: dict[float, dict[int, RateEstimate]]
    """By threshold and number enrolled, the share of strangers who are accepted as some member."""
    most_like: list[WorstPair]
    """The nearest photos of two people."""
    least_like: list[WorstPair]
    """The farthest photos of one person."""

    @property
    def max_counted_size(self) -> int:
        """Up to this number enrolled ``gallery_size_risk`` is counted; beyond it is extrapolated."""
        return self.pairs.person_count - 1

    @property
    def genuine_pairs(self) -> int:
        return int(self.pairs.genuine.sum())

    @property
    def impostor_pairs(self) -> int:
        return int((~self.pairs.genuine).sum())

    def at(self, threshold: float) -> tuple[RateEstimate, RateEstimate]:
        """FAR and FRR at the nearest threshold that was measured."""
        index = int(np.abs(np.array(self.thresholds) - threshold).argmin())
        return self.far[index], self.frr[index]

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON of ``face128 calibrate --json``; rates are shares, 0..1."""
        curve = zip(self.thresholds, self.far, self.frr, strict=True)
        far, frr = self.at(self.card.threshold)
        risks = self.gallery_size_risk.items()
        return {
            "model": self.card.name,
            "pipeline": self.card.pipeline,
            "people": self.pairs.person_count,
            "photos": len(self.pairs.photos),
            "failed": {short_name(photo): code for photo, code in self.failed.items()},
            "genuine_pairs": self.genuine_pairs,
            "impostor_pairs": self.impostor_pairs,
            "perhaps_one_person": _pairs_json(self.suspects),
            "at_threshold": {"threshold": self.card.threshold, "far": asdict(far), "frr": asdict(frr)},
            "threshold_for_far": {str(far): threshold for far, threshold in self.threshold_for_far.items()},
            "strangers_accepted": {str(t): {size: risk.value for size, risk in by.items()} for t, by in risks},
            "strangers_accepted_interval": {
                str(t): {size: [risk.low, risk.high] for size, risk in by.items()} for t, by in risks
            },
            "most_like": _pairs_json(self.most_like),
            "least_like": _pairs_json(self.least_like),
            "curve": [{"threshold": t, "far": asdict(a), "frr": asdict(r)} for t, a, r in curve],
        }


def calibrate(photos: Path, recipe: Recipe, backend: Backend, pairs: Path | None = None) -> list[Calibration]:
    """Measure on all pairs of ``photos``, a folder for each person, or on a list of pairs in LFW's format.

    One for each model that describes the photos, and for their pair. Raises BadRequest unless there is a pair of one
    person and a pair of two.
    """
    listed = read_pairs(pairs, photos) if pairs else None
    if listed is None:
        files = sorted(path for path in photos.glob("*/*") if path.is_file() and _is_wanted(path))
    else:
        files = list(dict.fromkeys(photo for pair in listed for photo in (pair.first, pair.second)))
    if not files:
        raise BadRequest(
            f"{photos} has no photos in folders. Put them into one for each person: PHOTOS/person/any.jpg. With "
            "one photo of each member, face128 calibrate --gallery enrolled.json needs no folder."
        )
    return [measure(each, listed) for each in describe(files, recipe, backend)]


def _is_wanted(path: Path) -> bool:
    """A photo, or a file that is called like one and is damaged; Thumbs.db and spreadsheets are none."""
    return not path.name.startswith(".") and (path.suffix.lower() in PHOTO_SUFFIXES or is_photo(path))


def measure(described: DescribedPhotos, listed: list[LabelledPair] | None = None) -> Calibration:
    """By one model. Raises BadRequest unless there is a pair of each kind."""
    card = described.card
    measured = pair_photos(described.vectors, card.metric, listed)
    usual = usual_thresholds(card)
    low, high = float(measured.distances.min()), float(np.median(measured.distances[~measured.genuine]))
    curve = np.linspace(max(low - 0.02, 0), high, CURVE_POINTS).tolist()
    by_far = {wanted: greatest_threshold(measured, wanted) for wanted in WANTED_FARS}
    grid = sorted({*curve, *usual, *(threshold for threshold in by_far.values() if threshold is not None)})
    far, frr = far_and_frr(measured, grid)
    all_pairs = measured if listed is None else pair_photos(described.vectors, card.metric)
    return Calibration(
        card,
        measured,
        described.failed,
        _suspects(all_pairs, described),
        grid,
        far,
        frr,
        {wanted: threshold_for_far(measured, wanted) for wanted in WANTED_FARS},
        by_far,
        _gallery_size_risk(all_pairs, {t: far[grid.index(t)] for t in usual}),
        _worst_pairs(measured, ~measured.genuine, nearest=True),
        _worst_pairs(measured, measured.genuine, nearest=False),
    )


def _suspects(pairs: PhotoPairs, described: DescribedPhotos) -> list[WorstPair]:
    vectors = np.array(list(described.vectors.values()), np.float64)
    found = []
    for pair in suspected_pairs(vectors, pairs.people, described.card.metric, described.card.cohort_cap):
        people = np.sort([pairs.people[pairs.first], pairs.people[pairs.second]], axis=0)
        found += _worst_pairs(pairs, (people == [[pair.first], [pair.second]]).all(axis=0), nearest=True)[:1]
    return found


def _gallery_size_risk(pairs: PhotoPairs, fars: dict[float, RateEstimate]) -> dict[float, dict[int, RateEstimate]]:
    """By threshold and the number enrolled. Each person in turn is the stranger; only each person's first photo counts.

    More members than there are people to count are independent trials of the FAR. No upper end exceeds that of a
    looser threshold or of more members, or what as many independent trials of the FAR's upper end would give.
    """
    _, first_photos = np.unique(pairs.people, return_index=True)
    of_first_photos = np.isin(pairs.first, first_photos) & np.isin(pairs.second, first_photos)
    others = pairs.person_count - 1
    risks: dict[float, dict[int, RateEstimate]] = {}
    for threshold, far in fars.items():
        accepted = of_first_photos & (pairs.distances <= threshold)
        people = pairs.people[np.concatenate([pairs.first[accepted], pairs.second[accepted]])]
        neighbours = np.bincount(people, minlength=pairs.person_count)
        risks[threshold] = {
            size: _counted(counted_risk(neighbours, others, size), size, far, pairs.person_count)
            if size <= others
            else RateEstimate(*(1 - (1 - chance) ** size for chance in (far.value, far.low, far.high)))
            for size in GALLERY_SIZES
        }
    ends = np.array([[risk.high for risk in by_size.values()] for by_size in risks.values()])
    ends = np.minimum.accumulate(np.maximum.accumulate(ends, axis=1)[::-1])[::-1]
    return {
        threshold: {
            size: RateEstimate(risk.value, risk.low, max(risk.value, float(high)))
            for (size, risk), high in zip(by_size.items(), row, strict=True)
        }
        for (threshold, by_size), row in zip(risks.items(), ends, strict=True)
    }


def _counted(share: float, size: int, far: RateEstimate, people: int) -> RateEstimate:
    interval = share_of_strangers(share, people)
    return RateEstimate(share, interval.low, max(share, min(interval.high, 1 - (1 - far.high) ** size)))


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
