"""FAR, FRR and the best threshold, against a count by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face128.jobs.calibrate.evaluate import best_threshold, error_rates

# Sixteenths, so that equal distances and thresholds do occur.
DISTANCES = st.lists(st.integers(0, 16).map(lambda n: n / 16), min_size=1, max_size=12).map(sorted).map(np.array)


@given(DISTANCES, DISTANCES, st.integers(0, 16))
def test_rates_count_what_is_within_the_threshold_and_what_is_beyond(
    genuine: np.ndarray, impostor: np.ndarray, sixteenths: int
) -> None:
    threshold = sixteenths / 16
    assert error_rates(genuine, impostor, threshold) == {
        "threshold": threshold,
        "far": sum(d <= threshold for d in impostor) / len(impostor),
        "frr": pytest.approx(sum(d > threshold for d in genuine) / len(genuine)),
    }


@given(DISTANCES, DISTANCES)
def test_no_threshold_judges_more_pairs_rightly_than_the_best(genuine: np.ndarray, impostor: np.ndarray) -> None:
    def accuracy(threshold: float) -> float:
        right = sum(d <= threshold for d in genuine) + sum(d > threshold for d in impostor)
        return float(right / (len(genuine) + len(impostor)))

    threshold, best = best_threshold(genuine, impostor)
    assert best == accuracy(threshold)
    assert best == max(accuracy(t / 16) for t in range(-1, 17))
