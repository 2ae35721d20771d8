"""The rules on real people: what the benchmark measures at length, once, on a part of them."""

from __future__ import annotations

import numpy as np
import pytest
from paths import LFW

from benchmarks.open_set import by_rule, encode, split

LFW_IMAGES = LFW / "images"
PEOPLE = 320
GALLERIES = 4


@pytest.mark.skipif(not LFW_IMAGES.exists(), reason="../shared/data/lfw-view1 is not here")
def test_among_200_members_the_cohort_rule_finds_twice_as_many_as_038_and_keeps_its_promise() -> None:
    people = sorted(folder for folder in LFW_IMAGES.iterdir() if folder.is_dir())[:PEOPLE]
    vectors, names = encode([photo for folder in people for photo in sorted(folder.glob("*.jpg"))], "fast")
    found = [by_rule(vectors, split(names, 200, seed)) for seed in range(GALLERIES)]
    fpir, identified = np.mean([each["cohort, alpha 0.01"] for each in found], axis=0)
    _, by_threshold = np.mean([each["threshold 0.38"] for each in found], axis=0)
    assert fpir <= 0.025
    assert identified >= 2 * by_threshold > 0
