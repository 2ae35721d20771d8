"""The share of strangers who are accepted as some member, by the number of members enrolled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def counted_risk(neighbours: npt.NDArray[np.int64], others: int, enrolled: int) -> float:
    """The share of strangers with at least one of ``enrolled`` members, drawn from ``others``, within the threshold.

    ``neighbours``: for each stranger, the number of the others within the threshold. Exact: one minus the
    hypergeometric chance of drawing none of them. ``enrolled`` is at most ``others``.
    """
    return float(np.mean([1 - _chance_of_none(int(k), others, enrolled) for k in neighbours]))


def extrapolated_risk(far: float, enrolled: int) -> float:
    """The same for more members than there are people to count, as ``enrolled`` independent trials of ``far``."""
    return 1 - (1 - far) ** enrolled


def _chance_of_none(k: int, others: int, enrolled: int) -> float:
    if k == 0:
        return 1.0
    if others - k < enrolled:
        return 0.0
    return math.exp(
        math.lgamma(others - k + 1) - math.lgamma(others - k - enrolled + 1)
        - math.lgamma(others + 1) + math.lgamma(others - enrolled + 1)
    )  # fmt: skip
