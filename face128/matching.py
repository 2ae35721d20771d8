"""The decision: whose face is this? The nearest member, if near enough.

The nearest descriptor with ``distance <= threshold`` wins, inclusive, as face_recognition compares; of equal distances
the first in the list. The distance is the one that ``descriptors.distances`` defines, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from face128.descriptors import Block, Metric, Vector, distances
from face128.enrolled import Enrolled, MatchRequest, RegNo
from face128.errors import InvalidRequest

# Rounding moves a distance by some 1e-14 of itself, whatever the order of its sum; this is far more.
MARGIN = 1e-9
# Squares of what is further away overflow.
FAR = 1e150
# Rows worked on at once: their differences stay in the processor's cache.
ROWS = 1024


@dataclass(frozen=True)
class Near:
    """A member and the distance of his nearest descriptor."""

    reg_no: RegNo
    name: str | None
    distance: float
    foreign: bool = False
    """His descriptors were made by another model than the probe's."""


@dataclass(frozen=True)
class Decision:
    """Who is nearest, who comes next, and what that means. ``nearest`` is None where nobody is enrolled."""

    nearest: Near | None
    runner_up: Near | None
    """The nearest with another regNo: a member may stand several times."""
    threshold: float
    model: str

    @property
    def matched(self) -> bool:
        return self.nearest is not None and self.nearest.distance <= self.threshold

    @property
    def margin(self) -> float | None:
        """How much further away the runner-up is."""
        if self.nearest is None or self.runner_up is None:
            return None
        return self.runner_up.distance - self.nearest.distance

    def answer(self, *, explain: bool = False) -> dict[str, Any]:
        """The answer of /match. Who is nearest but too far is told only as a distance."""
        answer: dict[str, Any] = {"match": False}
        if self.nearest is not None and self.matched:
            answer = {"regNo": self.nearest.reg_no, "name": self.nearest.name}
        if explain:
            other = self.runner_up
            answer |= {
                "distance": None if self.nearest is None else self.nearest.distance,
                "threshold": self.threshold,
                "model": self.model,
                "runner_up": other and {"regNo": other.reg_no, "name": other.name, "distance": other.distance},
                "margin": self.margin,
            }
            if self.nearest is not None and self.nearest.foreign:
                answer["mixed_models"] = True
        return answer


def nearest(request: MatchRequest) -> Decision:
    """Decide a request that brought its members. Raises InvalidRequest if it has no ``enrolled``."""
    enrolled, card = request.enrolled, request.card
    if enrolled is None:
        raise InvalidRequest("There is no list of enrolled members.", field="enrolled")
    threshold = card.threshold if request.threshold is None else request.threshold
    rough = _rough(enrolled.vectors, request.probe, card.metric)
    best = _first_nearest(rough, enrolled, request.probe, card.metric)
    second = None
    if best is not None:
        same = np.array([reg_no == best.reg_no for reg_no in enrolled.reg_nos])
        rough[same[enrolled.owners]] = math.inf
        second = _first_nearest(rough, enrolled, request.probe, card.metric)
    return Decision(best, second, threshold, card.name)


def _first_nearest(rough: Vector, enrolled: Enrolled, probe: Vector, metric: Metric) -> Near | None:
    """The member of the nearest row; ``rough`` says which rows could be it, exact distances which one is."""
    least = rough.min(initial=math.inf)
    if math.isinf(least):
        return None
    rows = np.flatnonzero(rough <= least + MARGIN * max(1, least))
    exact = distances(enrolled.vectors[rows], probe, metric)
    first = int(exact.argmin())
    member = enrolled.owners[rows[first]]
    foreign = int(member) in enrolled.foreign
    return Near(enrolled.reg_nos[member], enrolled.names[member], float(exact[first]), foreign)


def _rough(vectors: Block, probe: Vector, metric: Metric) -> Vector:
    """Distances as fast as they come, (rows,); infinite for what can never match: NaN, overflow, no direction."""
    rough = np.empty(len(vectors))
    with np.errstate(all="ignore"):
        for start in range(0, len(vectors), ROWS):
            block = vectors[start : start + ROWS].astype(np.float64, copy=False)
            if metric == "euclidean":
                away = block - probe
                rough[start : start + ROWS] = np.sqrt(np.vecdot(away, away))
            else:
                norms = np.sqrt(np.vecdot(block, block) * np.vecdot(probe, probe))
                rough[start : start + ROWS] = 1 - block @ probe / norms
    rough[~(rough < FAR)] = math.inf  # NaN is not less than anything
    return rough
