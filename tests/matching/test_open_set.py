"""The decision rules on real people: a small part of benchmarks/open_set.py."""

from __future__ import annotations

import numpy as np
import pytest
from paths import LFW

from benchmarks.lfw_descriptors import describe_faces
from benchmarks.open_set import draw, rates_by_rule

LFW_IMAGES = LFW / "images"
PEOPLE = 320
GALLERIES = 4


@pytest.mark.skipif(not LFW_IMAGES.exists(), reason="../shared/data/lfw-view1 is missing")
def test_the_cohort_rule_finds_more_than_a_threshold_and_keeps_its_promise() -> None:
    """Among 200 members by the exact tail, and among 60, who are too few for it, by the estimate."""
    people = sorted(folder for folder in LFW_IMAGES.iterdir() if folder.is_dir())[:PEOPLE]
    vectors, names = describe_faces([photo for folder in people for photo in sorted(folder.glob("*.jpg"))], "fast")
    rates = [rates_by_rule(vectors, draw(names, 200, seed), 0.01) for seed in range(GALLERIES)]
    fpir, identified, *_ = np.mean([each["exact, alpha 0.01"] for each in rates], axis=0)
    _, identified_by_threshold, *_ = np.mean([each["threshold 0.38"] for each in rates], axis=0)
    assert fpir <= 0.025
    assert identified >= 2 * identified_by_threshold > 0
    small = [
        rates_by_rule(vectors, draw(names, 60, seed), 0.01)["estimate, alpha 0.01"] for seed in range(3 * GALLERIES)
    ]
    fpir, identified, by_distance, _ = np.mean(small, axis=0)
    assert fpir <= 0.025
    assert identified >= max(0.7, by_distance - 0.02)
