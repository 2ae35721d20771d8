"""The cohort rule as docs/decision.md defines it, one distance at a time, and populations to test it on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from face128.domain.descriptors import distance


def score_by_definition(member_distances: list[float], descriptor: Any, members: int) -> float:
    nearest, *next_five = sorted(member_distances)[:6]
    crowd = sum(next_five) / 5
    scale = crowd if members >= 200 else math.sqrt(crowd * distance(descriptor, 0 * descriptor, "euclidean"))
    return nearest / scale if scale else math.inf


OwnScores = list[tuple[float, float]]
"""The score of each descriptor against all other members, and its weight."""


def cohort_score_by_definition(vectors: Any, people: list[int], probe: Any) -> tuple[float, float, OwnScores]:
    """The score, stranger_risk by the exact tail, for which the probe joins as one more member, and the own scores."""
    members = sorted(set(people))

    def distances_to_others(descriptor: Any, own: int | None) -> list[float]:
        return [
            min(distance(descriptor, v, "euclidean") for v, person in zip(vectors, people, strict=True) if person == m)
            for m in members
            if m != own
        ]

    score = score_by_definition(distances_to_others(probe, None), probe, len(members))
    count, own_scores = 0.0, []
    for vector, own in zip(vectors, people, strict=True):
        others = distances_to_others(vector, own)
        own_scores.append((score_by_definition(others, vector, len(members)), 1 / people.count(own)))
        joined = [*others, distance(vector, probe, "euclidean")]
        if score_by_definition(joined, vector, len(members)) <= score:
            count += 1 / people.count(own)
    return score, (1 + count) / (len(members) + 1), own_scores


def estimate_by_definition(score: float, own_scores: OwnScores) -> float:
    """The stranger_risk of a Gumbel law for minima with the quartiles of these scores, each with its weight."""

    def quartile(share: float) -> float:
        before: list[tuple[float, float]] = []  # places, and the logarithms there
        passed, total = 0.0, sum(weight for _, weight in own_scores)
        for one, weight in sorted(own_scores):
            place, value = (passed + weight / 2) / total, math.log(one)
            if place >= share:
                left, least = before[-1] if before else (place - 1, value)
                return least + (value - least) * (share - left) / (place - left)
            before.append((place, value))
            passed += weight
        return before[-1][1]

    low, high = quartile(0.25), quartile(0.75)
    scale = (high - low) / math.log(math.log(4) / math.log(4 / 3))
    location = low - scale * math.log(math.log(4 / 3))
    return 1 - math.exp(-math.exp((math.log(score) - location) / scale))


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
