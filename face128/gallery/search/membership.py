"""Which of many integers are among a few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOW_BITS = 2**16 - 1  # a table of 64 kB, which stays in the processor's cache

Integers = npt.NDArray[np.int64]


def is_in(values: Integers, wanted: Integers) -> npt.NDArray[np.bool_]:
    """As np.isin, which would sort all values: for 500 among 100,000 that takes ten times as long.

    A table of the lowest bits rules most values out; np.isin compares the others.
    """
    table = np.zeros(LOW_BITS + 1, np.bool_)
    table[wanted & LOW_BITS] = True
    found: npt.NDArray[np.bool_] = table[values & LOW_BITS]
    places = np.flatnonzero(found)
    found[places] = np.isin(values[places], wanted)
    return found


def is_in_ascending(values: Integers, wanted: Integers) -> npt.NDArray[np.bool_]:
    """As ``is_in``, of ascending values: 500 are found among a million in a tenth of the time."""
    found = np.zeros(len(values), np.bool_)
    if len(values):
        places = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
        found[places[values[places] == wanted]] = True
    return found
