"""is_in finds what np.isin finds."""

from __future__ import annotations

import numpy as np
import pytest

from face128.gallery.search.membership import LOW_BITS, is_in


@pytest.mark.parametrize("wanted", [0, 1, 2, 700])
def test_it_is_isin_also_where_the_lowest_bits_are_equal(wanted: int) -> None:
    random = np.random.default_rng(wanted)
    values = random.integers(-(2**63), 2**63 - 1, 5_000)
    chosen = random.choice(values, wanted)
    same_bits = chosen ^ (LOW_BITS + 1)
    values = np.concatenate([values, same_bits, chosen])
    assert (is_in(values, chosen) == np.isin(values, chosen)).all()
    assert is_in(values, chosen).sum() >= wanted
    assert not is_in(np.empty(0, np.int64), chosen).any()
