"""What every part shares: contestants that take turns, and figures that say how many times as fast."""

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
"""By contestant: points (how much work, milliseconds)."""


@dataclass(frozen=True)
class Figure:
    """One line of the table: a value, whom it is compared with, and what was aimed at."""

    what: str
    value: float
    unit: str
    """``ms`` and other amounts are better when small, what ends with ``/s`` when large."""
    peer: str = ""
    peer_value: float | None = None
    at_least: float | None = None
    """The goal for the ratio: so many times as good as the peer."""
    at_most: float | None = None
    """The goal for the value itself."""

    @property
    def ratio(self) -> float | None:
        """How many times as good as the peer, in the direction of the unit."""
        if self.peer_value is None:
            return None
        value, peer = self.value, self.peer_value
        return value / peer if self.unit.endswith("/s") else peer / value

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none, or nobody to compare with."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None and self.ratio is not None:
            return self.ratio >= self.at_least
        return None


@dataclass
class Report:
    """What one part measured."""

    figures: list[Figure] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    """For the plot, by what the work is counted in."""
    notes: list[str] = field(default_factory=list)


def milliseconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return 1e3 * (time.perf_counter() - start)


def interleave(
    contestants: Mapping[str, Callable[[], object]], rounds: int, pause: float = 0
) -> dict[str, list[float]]:
    """Each one's times in milliseconds. They take turns, so that whatever else the machine does meets all of them.

    ``pause`` is the seconds between two turns: a service may be busy for a while after its answer, and on two cores the
    next one would pay for it.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, job in contestants.items():
            time.sleep(pause)
            times[name].append(milliseconds(job))
    return times


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(runs) for name, runs in times.items()}


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]
