"""The scale on which the nearest people, the threshold and the crowd stand: where to draw them, in SVG's units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from face128.matching.crowd import BIN_WIDTH

if TYPE_CHECKING:
    from face128.gallery.trial import Trial

WIDTH, LEFT, RIGHT = 340, 14, 14
TOP, CROWD_HEIGHT, BELOW_AXIS, ROW = 40, 72, 40, 24
"""Of the crowd's highest bin, from the top, and its height; from the axis to the first row of people, and to the next.
"""
RADIUS = 10
"""Of the circle with a person's number."""
TICKS = 6
"""About so many."""
ROOM = 1.1
"""So much more than the furthest person and the threshold is on the scale."""


@dataclass(frozen=True)
class Mark:
    x: float
    value: float


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    number: int
    """Of the person, from 1."""


@dataclass(frozen=True)
class Scale:
    width: int
    height: int
    axis: int
    radius: int
    ticks: list[Mark]
    digits: int
    """Of the ticks' values."""
    threshold: Mark
    for_alpha: Mark | None
    """Nearer than this come alpha of strangers."""
    dots: list[Dot]
    crowd: str
    """The points of a polygon; empty where nothing is known."""


def scale_of(trial: Trial) -> Scale | None:
    """None where nobody can be compared. Somebody of another model stands at the same multiple of the threshold."""
    limit = trial.threshold
    if not trial.people or limit is None:
        return None
    places = [person.distance * limit / person.threshold for person in trial.people]
    crowd = trial.crowd
    alpha_at = crowd.for_alpha if crowd else None
    end = ROOM * max(limit, *places, alpha_at or 0.0)

    def x(distance: float) -> float:
        return round(LEFT + min(distance / end, 1.0) * (WIDTH - LEFT - RIGHT), 1)

    axis = TOP + (CROWD_HEIGHT if crowd else 0)
    dots = _dots([x(place) for place in places], axis + BELOW_AXIS)
    step = _step(end)
    return Scale(
        WIDTH,
        max(round(dot.y) for dot in dots) + RADIUS + 4,
        axis,
        RADIUS,
        [Mark(x(i * step), i * step) for i in range(int(end / step) + 1)],
        max(1, math.ceil(-math.log10(step))),
        Mark(x(limit), limit),
        None if alpha_at is None else Mark(x(alpha_at), alpha_at),
        dots,
        _polygon(crowd.shares, end, x) if crowd else "",
    )


def _dots(places: list[float], first_row: int) -> list[Dot]:
    """Each in the first row where it touches no other."""
    dots: list[Dot] = []
    for number, place in enumerate(places, 1):
        row = 0
        while any(dot.y == first_row + row * ROW and abs(dot.x - place) < 2 * RADIUS + 2 for dot in dots):
            row += 1
        dots.append(Dot(place, first_row + row * ROW, number))
    return dots


def _polygon(shares: tuple[float, ...], end: float, x: Callable[[float], float]) -> str:
    shown = shares[: math.ceil(end / BIN_WIDTH)]
    highest = max(shown, default=0.0)
    if not highest:
        return ""
    points = [(x(0.0), float(TOP + CROWD_HEIGHT))]
    for i, share in enumerate(shown):
        y = round(TOP + (1 - share / highest) * CROWD_HEIGHT, 1)
        points += [(x(i * BIN_WIDTH), y), (x((i + 1) * BIN_WIDTH), y)]
    points.append((points[-1][0], TOP + CROWD_HEIGHT))
    return " ".join(f"{left:g},{top:g}" for left, top in points)


def _step(end: float) -> float:
    """A round distance between two ticks."""
    rough = end / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    return min((size * times for times in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
