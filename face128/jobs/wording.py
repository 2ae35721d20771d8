"""How reports write shares, and what their abbreviations mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

TERMS = {
    "FAR": "FAR is the share of pairs of two different people whom the threshold takes for one person.",
    "FRR": "FRR is the share of pairs of photos of one person whom the threshold takes for two people.",
    "FPIR": "FPIR is the share of strangers at the door who are taken for some member.",
    "alpha": (
        "alpha is the share of strangers that the cohort rule may let in (FACE128_DECISION=cohort, FACE128_ALPHA). "
        "That rule judges a face by how near the members are to each other, not by a fixed distance."
    ),
}
"""A report says each once, where it is first used."""

GROWTH = "Strangers who are taken for some member, by how many are enrolled (* extrapolated):"
INTERVAL = "In brackets: the range in which the true share lies, with 95 % certainty."
THRESHOLD = "the greatest distance that counts as one person"
HUBS = (
    "Members who look most like several others of the list: their faces are like many, or their photos are bad. To be "
    "the most alike to one other is usual."
)

COMPARISON = (
    "The thresholds of two models are different distances; at the same FAR the models can be compared: the one that "
    "then refuses less is better for these people."
)


class Interval(Protocol):
    """The ends of a 95 % interval, as shares."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def percent(share: float) -> str:
    """A share as 12 %, 1.2 % or 0.012 %; 0 % only for exactly 0, and 100 % only for exactly 1."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share >= 0.995:
        return f"{math.floor(1e4 * share) / 100:g} %"
    rounded = float(f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}")
    return f"{np.format_float_positional(rounded, trim='-')} %"


def rate(share: float, interval: Interval) -> str:
    """The share and its interval. Where none or all were counted only the bound is known."""
    if share == 0:
        return f"at most {percent(interval.high)}"
    if share == 1:
        return f"100 % (at least {percent(interval.low)})"
    return f"{percent(share)} ({percent(interval.low)} to {percent(interval.high)})"


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, one: str, several: str | None = None) -> str:
    """As "1 photo" and "1,200 photos"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
