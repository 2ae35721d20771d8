"""is_in and is_in_ascending find what np.isin finds."""

from __future__ import annotations

import numpy as np
import pytest

from face128.gallery.search.membership import LOW_BITS, is_in, is_in_ascending


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


@pytest.mark.parametrize("wanted", [0, 1, 700])
def test_among_ascending_values_too(wanted: int) -> None:
    random = np.random.default_rng(wanted)
    values = np.unique(random.integers(0, 10_000, 5_000))
    chosen = np.concatenate([random.choice(values, wanted), random.integers(-100, 10_100, wanted)])
    assert (is_in_ascending(values, chosen) == np.isin(values, chosen)).all()
    assert not is_in_ascending(values[:0], chosen).any()
