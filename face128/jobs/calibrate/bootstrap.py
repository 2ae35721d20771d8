"""How sure a rate is. What counts is people, not pairs: a million pairs of fifty people are fifty people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.jobs.calibrate.photo_pairs import Sample

REPLICATES = 200
LEVEL = 0.95
ENOUGH_PEOPLE = 30
"""Doddington's rule of 30 errors, counted in people: pairs of one person are not independent."""


@dataclass(frozen=True)
class Rate:
    """A share, with the interval that holds it in 95 % of such samples of people."""

    value: float
    low: float
    high: float


def rates(sample: Sample, thresholds: Sequence[float]) -> tuple[list[Rate], list[Rate]]:
    """FAR and FRR at each threshold (ascending).

    Intervals are a bootstrap over people: they are drawn with replacement, and a pair counts as often as both of its
    people were drawn. Where nothing was counted the upper end is the exact one of as many independent pairs as these
    people can be in: 1 - 0.05^(1 / pairs), a pair for each person (FRR) or for each two (FAR). As a stricter threshold
    never accepts more, no upper end exceeds that of a looser one (FAR) or of a stricter one (FRR).
    """
    edges = np.array(thresholds, np.float64)
    # The index of the first threshold that accepts the pair; len(edges) if none does.
    accepted_at = np.searchsorted(edges, sample.apart, side="left")
    first, second = sample.people[sample.first], sample.people[sample.second]
    draw = np.random.default_rng(0)
    weights = [np.ones(sample.person_count)]
    for _ in range(REPLICATES):
        drawn = draw.integers(0, sample.person_count, sample.person_count)
        weights.append(np.bincount(drawn, minlength=sample.person_count).astype(float))
    curves: list[list[npt.NDArray[np.float64]]] = [[], []]
    for kind, chosen in enumerate((~sample.same, sample.same)):
        at, a, b = accepted_at[chosen], first[chosen], second[chosen]
        for weight in weights:
            # A genuine pair has one person: it counts as often as he was drawn.
            pairs = weight[a] if kind else weight[a] * weight[b]
            accepted = np.bincount(at, pairs, len(edges) + 1).cumsum()
            if accepted[-1] > 0:
                curves[kind].append(accepted[:-1] / accepted[-1])
    strangers = len(np.union1d(first[~sample.same], second[~sample.same]))
    with_several_photos = len(np.unique(first[sample.same]))
    far = _intervals(np.array(curves[0])[:, ::-1], strangers // 2)[::-1]
    return far, _intervals(1 - np.array(curves[1]), with_several_photos)


def _intervals(curves: npt.NDArray[np.float64], independent_pairs: int) -> list[Rate]:
    """Row 0 is the sample itself, the others are its replicates; the rates fall from column to column."""
    value = curves[0]
    low, high = np.quantile(curves[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    high = np.where(value > 0, high, np.maximum(high, 1 - (1 - LEVEL) ** (1 / independent_pairs)))
    high = np.maximum(np.minimum.accumulate(high), value)
    return [Rate(float(v), float(lo), float(hi)) for v, lo, hi in zip(value, np.minimum(low, value), high, strict=True)]


def threshold_for(sample: Sample, far: float) -> float | None:
    """The greatest threshold at which the FAR is at most ``far``; None where the people are too few to say."""
    impostor = ~sample.same
    apart = sample.apart[impostor]
    most = int(far * len(apart))
    order = np.argsort(apart, kind="stable")
    accepted = order[:most]
    people = np.union1d(
        sample.people[sample.first[impostor][accepted]], sample.people[sample.second[impostor][accepted]]
    )
    if len(people) < ENOUGH_PEOPLE:
        return None
    # Just below the first that may not be accepted.
    return float(np.nextafter(apart[order[most]], np.float32(0)))
