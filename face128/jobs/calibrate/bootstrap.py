"""FAR and FRR with intervals by a bootstrap over people: a million pairs of fifty people are still fifty people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.jobs.calibrate.photo_pairs import PhotoPairs

REPLICATES = 200
CONFIDENCE = 0.95
MIN_ACCEPTED_PEOPLE = 30
"""Doddington's rule of 30 errors, counted in people: pairs of one person are not independent."""


@dataclass(frozen=True)
class RateEstimate:
    """A share, 0..1, and its 95 % interval."""

    value: float
    low: float
    high: float


def far_and_frr(pairs: PhotoPairs, thresholds: Sequence[float]) -> tuple[list[RateEstimate], list[RateEstimate]]:
    """FAR and FRR at each threshold (ascending).

    The intervals are a bootstrap over people: they are drawn with replacement, and a pair counts as often as both its
    people were drawn. If no pair was counted, the upper end is the exact one for as many independent pairs as these
    people can form: 1 - 0.05^(1 / pairs), with a pair for each person (FRR) or for each two (FAR); if all were counted,
    the lower end is 0.05^(1 / pairs). A stricter threshold never accepts more, so no end exceeds that of a looser
    threshold (FAR) or of a stricter one (FRR).
    """
    edges = np.array(thresholds, np.float64)
    # The index of the first threshold that accepts the pair; len(edges) if none does.
    accepted_at = np.searchsorted(edges, pairs.distances, side="left")
    first, second = pairs.people[pairs.first], pairs.people[pairs.second]
    curves: list[list[npt.NDArray[np.float64]]] = [[], []]
    for genuine, chosen in enumerate((~pairs.genuine, pairs.genuine)):
        at, a, b = accepted_at[chosen], first[chosen], second[chosen]
        for weight in _person_weights(pairs.person_count):
            # A genuine pair is of one person: it counts as often as they were drawn.
            pair_weights = weight[a] if genuine else weight[a] * weight[b]
            accepted = np.bincount(at, pair_weights, len(edges) + 1).cumsum()
            if accepted[-1] > 0:
                curves[genuine].append(accepted[:-1] / accepted[-1])
    strangers = len(np.union1d(first[~pairs.genuine], second[~pairs.genuine]))
    with_several_photos = len(np.unique(first[pairs.genuine]))
    far = _intervals(np.array(curves[0])[:, ::-1], strangers // 2)[::-1]
    return far, _intervals(1 - np.array(curves[1]), with_several_photos)


def accuracy(pairs: PhotoPairs, threshold: float) -> RateEstimate:
    """The share of pairs that the threshold judges rightly, with its interval by the bootstrap over people."""
    right = (pairs.distances <= threshold) == pairs.genuine
    first, second = pairs.people[pairs.first], pairs.people[pairs.second]
    shares = []
    for weight in _person_weights(pairs.person_count):
        pair_weights = np.where(pairs.genuine, weight[first], weight[first] * weight[second])
        if total := float(pair_weights.sum()):
            shares.append(float(pair_weights[right].sum()) / total)
    low, high = np.quantile(shares[1:] or shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if right.all():
        low = min(low, (1 - CONFIDENCE) ** (1 / max(1, pairs.person_count // 2)))
    return RateEstimate(shares[0], min(float(low), shares[0]), max(float(high), shares[0]))


def _person_weights(people: int) -> list[npt.NDArray[np.float64]]:
    """How often each person is drawn: once in the first, which measures, and at random in the replicates."""
    drawn = np.random.default_rng(0).integers(0, people, (REPLICATES, people))
    return [np.ones(people), *(np.bincount(row, minlength=people).astype(np.float64) for row in drawn)]


def _intervals(curves: npt.NDArray[np.float64], independent_pairs: int) -> list[RateEstimate]:
    """Row 0 has the measured rates, the others the replicates; the rates fall from column to column."""
    value = curves[0]
    low, high = np.quantile(curves[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    high = np.where(value > 0, high, np.maximum(high, 1 - (1 - CONFIDENCE) ** (1 / independent_pairs)))
    high = np.maximum(np.minimum.accumulate(high), value)
    low = np.where(value < 1, low, np.minimum(low, (1 - CONFIDENCE) ** (1 / independent_pairs)))
    low = np.minimum(np.maximum.accumulate(low[::-1])[::-1], value)
    return [RateEstimate(*map(float, interval)) for interval in zip(value, low, high, strict=True)]


def greatest_threshold(pairs: PhotoPairs, far: float) -> float | None:
    """The greatest threshold with a FAR of at most ``far``, on these very pairs; None if that is less than one pair."""
    impostor = np.sort(pairs.distances[~pairs.genuine])
    accepted = int(far * len(impostor))
    # Just below the first distance that must not be accepted.
    return float(np.nextafter(impostor[accepted], np.float32(0))) if accepted else None


def threshold_for_far(pairs: PhotoPairs, far: float) -> float | None:
    """``greatest_threshold``; None if it accepts pairs of too few people to be known."""
    threshold = greatest_threshold(pairs, far)
    if threshold is None:
        return None
    accepted = ~pairs.genuine & (pairs.distances <= threshold)
    people = np.union1d(pairs.people[pairs.first[accepted]], pairs.people[pairs.second[accepted]])
    return threshold if len(people) >= MIN_ACCEPTED_PEOPLE else None
