"""The cohort rule as docs/decision.md defines it, one distance at a time, and populations to test it on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from face128.domain.descriptors import distance


def score_by_definition(member_distances: list[float]) -> float:
    nearest, *next_five = sorted(member_distances)[:6]
    return 1.0 if sum(next_five) == 0 else nearest / (sum(next_five) / 5)


def conformal_score_by_definition(vectors: Any, people: list[int], probe: Any) -> tuple[float, float]:
    """Score and stranger_risk; the probe joins as one more member."""
    members = sorted(set(people))

    def distances_to_others(descriptor: Any, own: int | None) -> list[float]:
        return [
            min(distance(descriptor, v, "euclidean") for v, person in zip(vectors, people, strict=True) if person == m)
            for m in members
            if m != own
        ]

    score = score_by_definition(distances_to_others(probe, None))
    count = 0.0
    for vector, own in zip(vectors, people, strict=True):
        joined = [*distances_to_others(vector, own), distance(vector, probe, "euclidean")]
        if score_by_definition(joined) <= score:
            count += 1 / people.count(own)
    return score, (1 + count) / (len(members) + 1)


def population(random: np.random.Generator, kind: str, persons: int) -> Any:
    """(persons, 3) descriptors in random order: a cloud, groups of people who look alike, or pairs of twins."""
    if kind == "cloud":
        return random.normal(size=(persons, 3))
    groups = max(1, persons // 8) if kind == "groups" else (persons + 1) // 2
    spread = 0.3 if kind == "groups" else 0.01
    faces = random.normal(size=(groups, 3)).repeat(math.ceil(persons / groups), axis=0)
    return random.permutation(faces)[:persons] + random.normal(0, spread, (persons, 3))


def binomial_tails(trials: int, chance: float, hits: int) -> tuple[float, float]:
    """P(X <= hits) and P(X >= hits), exactly."""
    mass = [math.comb(trials, i) * chance**i * (1 - chance) ** (trials - i) for i in range(trials + 1)]
    return math.fsum(mass[: hits + 1]), math.fsum(mass[hits:])
