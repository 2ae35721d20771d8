"""The decision rules on real people: a small part of benchmarks/open_set.py."""

from __future__ import annotations

import numpy as np
import pytest
from paths import LFW

from benchmarks.open_set import describe_faces, draw, rates_by_rule

LFW_IMAGES = LFW / "images"
PEOPLE = 320
GALLERIES = 4


@pytest.mark.skipif(not LFW_IMAGES.exists(), reason="../shared/data/lfw-view1 is missing")
def test_among_200_members_the_cohort_rule_finds_twice_as_many_as_038_and_keeps_its_promise() -> None:
    people = sorted(folder for folder in LFW_IMAGES.iterdir() if folder.is_dir())[:PEOPLE]
    vectors, names = describe_faces([photo for folder in people for photo in sorted(folder.glob("*.jpg"))], "fast")
    rates = [rates_by_rule(vectors, draw(names, 200, seed)) for seed in range(GALLERIES)]
    fpir, identified = np.mean([each["cohort, alpha 0.01"] for each in rates], axis=0)
    _, identified_by_threshold = np.mean([each["threshold 0.38"] for each in rates], axis=0)
    assert fpir <= 0.025
    assert identified >= 2 * identified_by_threshold > 0
