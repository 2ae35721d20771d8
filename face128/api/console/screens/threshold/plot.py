"""The crowd's plot: how near each member's nearest other member is, and their own other photos; in SVG's units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from face128.domain.model_card import ModelCard
from face128.matching.threshold_effects import Curve, ThresholdEffects

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, AXIS = 12, 12, 34, 214
BIN_WIDTH = 0.02
TABLE_BINS = 5
"""Of the plot, in one row of the table."""
ROOM = 1.2
"""So much beyond the cohort rule's cap is drawn, or as far as anybody is."""
MAX_DISTANCE = 2.0
"""As a threshold may be; of unit vectors no distance is larger."""
MAX_TICKS = 10
LABEL_WIDTH = 200
"""Of the threshold's, on a small screen."""


@dataclass(frozen=True)
class TableRow:
    start: float
    end: float
    others: float
    """The share of members whose nearest other member is so far away."""
    own: float | None
    """The share of own photos that are so far from their person's others; None where there are none."""


@dataclass(frozen=True)
class Plot:
    others: str
    """The points of a polygon."""
    own: str
    """The points of a line; empty where no member has a second photo."""
    threshold_x: float
    label_left: bool
    """Whether the threshold's label stands on its left."""
    ticks: list[tuple[float, float]]
    """Where, and which distance."""
    rows: list[TableRow]
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP
    axis: int = AXIS
    left: int = LEFT
    right: int = WIDTH - RIGHT


def plot_of(effects: ThresholdEffects, card: ModelCard, threshold: float) -> Plot:
    furthest = [
        float(curve.values[-1]) for curve in (effects.nearest_others, effects.own_distances) if len(curve.values)
    ]
    needed = min(MAX_DISTANCE, max(card.cohort_cap * ROOM, threshold, *furthest)) + BIN_WIDTH / 2
    bins = math.ceil(needed / BIN_WIDTH)
    end = bins * BIN_WIDTH
    tick = 0.1 if end <= MAX_TICKS * 0.1 else 0.2
    others, own = (_shares(curve, bins) for curve in (effects.nearest_others, effects.own_distances))
    highest = max(*others, *own, 1e-9)

    def x(distance: float) -> float:
        return round(LEFT + distance / end * (WIDTH - LEFT - RIGHT), 1)

    def steps(shares: list[float]) -> str:
        points = [(x(0), float(AXIS))]
        for place, share in enumerate(shares):
            y = round(AXIS - share / highest * (AXIS - TOP), 1)
            points += [(x(place * BIN_WIDTH), y), (x((place + 1) * BIN_WIDTH), y)]
        return " ".join(f"{left:g},{top:g}" for left, top in [*points, (x(end), float(AXIS))])

    has_own = effects.own_photos > 0
    return Plot(
        steps(others),
        steps(own) if has_own else "",
        x(threshold),
        x(threshold) > WIDTH - RIGHT - LABEL_WIDTH,
        [(x(place * tick), place * tick) for place in range(int(end / tick) + 1)],
        [
            TableRow(
                start * BIN_WIDTH,
                min(start + TABLE_BINS, bins) * BIN_WIDTH,
                sum(others[start : start + TABLE_BINS]),
                sum(own[start : start + TABLE_BINS]) if has_own else None,
            )
            for start in range(0, bins, TABLE_BINS)
        ],
    )


def _shares(curve: Curve, bins: int) -> list[float]:
    """The share in each bin: above its start and up to its end, as a threshold counts."""
    within = [0.0, *(curve.share(place * BIN_WIDTH) for place in range(1, bins + 1))]
    return [after - before for before, after in pairwise(within)]
