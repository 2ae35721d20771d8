"""How the risk of a stranger grows with the number of members he is compared with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def counted(neighbours: npt.NDArray[np.int64], others: int, enrolled: int) -> float:
    """The share of strangers for whom at least one of ``enrolled`` members, drawn from ``others``, is near enough.

    ``neighbours``: for each stranger, how many of the others are within the threshold. Exact: one minus the
    hypergeometric chance of drawing none of them. ``enrolled`` is at most ``others``.
    """
    return float(np.mean([1 - _none_of(int(k), others, enrolled) for k in neighbours]))


def estimated(far: float, enrolled: int) -> float:
    """The same for more members than there are people to count with, as if each were a new chance of ``far``."""
    return 1 - (1 - far) ** enrolled


def _none_of(k: int, others: int, enrolled: int) -> float:
    if k == 0:
        return 1.0
    if others - k < enrolled:
        return 0.0
    return math.exp(
        math.lgamma(others - k + 1) - math.lgamma(others - k - enrolled + 1)
        - math.lgamma(others + 1) + math.lgamma(others - enrolled + 1)
    )  # fmt: skip
