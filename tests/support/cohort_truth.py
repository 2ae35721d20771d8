"""The cohort rule as its page says it, one distance at a time, and populations to try it on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from face128.domain.descriptors import distance


def plain_score(away: list[float]) -> float:
    nearest, *crowd = sorted(away)[:6]
    return 1.0 if sum(crowd) == 0 else nearest / (sum(crowd) / 5)


def plain_standing(vectors: Any, people: list[int], probe: Any) -> tuple[float, float]:
    """The rule as its page says it, one distance at a time; the probe joins as one more member."""
    members = sorted(set(people))

    def away(descriptor: Any, mine: int | None) -> list[float]:
        return [
            min(distance(descriptor, v, "euclidean") for v, person in zip(vectors, people, strict=True) if person == m)
            for m in members
            if m != mine
        ]

    score = plain_score(away(probe, None))
    count = 0.0
    for vector, mine in zip(vectors, people, strict=True):
        if plain_score([*away(vector, mine), distance(vector, probe, "euclidean")]) <= score:
            count += 1 / people.count(mine)
    return score, (1 + count) / (len(members) + 1)


def population(random: np.random.Generator, kind: str, persons: int) -> Any:
    """Persons in an order as likely as any other: a cloud, groups that look alike, or pairs of twins."""
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
