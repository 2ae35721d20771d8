"""Shared by all parts: contestants that take turns, and figures with ratios and goals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
LFW = SHARED / "data" / "lfw-view1" / "images"

Curve = dict[str, list[tuple[float, float]]]
"""For each contestant its points (amount of work, milliseconds)."""


@dataclass(frozen=True)
class Figure:
    """One row of the table: a value, the peer it is compared with, and a goal."""

    what: str
    value: float
    unit: str
    """A unit that ends with ``/s`` is better when large, any other when small."""
    peer: str = ""
    peer_value: float | None = None
    at_least: float | None = None
    """The goal for ``ratio``."""
    at_most: float | None = None
    """The goal for ``value``."""

    @property
    def ratio(self) -> float | None:
        """How many times as good as the peer, in the direction of the unit."""
        if self.peer_value is None:
            return None
        value, peer = self.value, self.peer_value
        return value / peer if self.unit.endswith("/s") else peer / value

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal or without a value to compare with."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None and self.ratio is not None:
            return self.ratio >= self.at_least
        return None


@dataclass
class Report:
    """The results of one part."""

    figures: list[Figure] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    """Panels of the plot, by the unit of work on the x axis."""
    notes: list[str] = field(default_factory=list)


def time_ms(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return 1e3 * (time.perf_counter() - start)


def interleave(
    contestants: Mapping[str, Callable[[], object]], rounds: int, pause_s: float = 0
) -> dict[str, list[float]]:
    """Each contestant's times in milliseconds. They take turns, so that other load on the machine affects all of them.

    ``pause_s`` separates two turns: a service may still be busy after its answer, which would slow the next one down.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, job in contestants.items():
            time.sleep(pause_s)
            times[name].append(time_ms(job))
    return times


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(runs) for name, runs in times.items()}


def percentile(values: list[float], percent: float) -> float:
    """The value that ``percent`` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]
