"""Descriptors of as many people as one likes, mixed from real ones: for galleries larger than any set of photos here.

A person is a mixture of three real people, with noise, and has a descriptor of the usual length. They are about as far
from each other as real people are, except for the very nearest pairs: how many are within a threshold, they cannot say.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from benchmarks.gallery import fixture_descriptors
from benchmarks.harness import LFW
from benchmarks.lfw_descriptors import describe_faces
from face128.domain.descriptors import Descriptors

REAL_PEOPLE = 400
MIXED = 3
SHARES = (2, 1, 1)
"""Of a Dirichlet distribution: one of the three counts most."""
NOISE = 0.045


@cache
def real_descriptors() -> Descriptors:
    """One of each of 400 people of lfw-view1; of the photos in fixtures/ where that is missing."""
    if not LFW.is_dir():
        return fixture_descriptors()
    folders = sorted(folder for folder in LFW.iterdir() if folder.is_dir())
    return describe_faces([min(folder.glob("*.jpg")) for folder in folders[:REAL_PEOPLE]], "fast")[0].astype(np.float32)


def people(count: int, seed: int) -> Descriptors:
    """(count, 128) float32, one for each person; others by another seed. Takes 3 kB a person meanwhile."""
    real, random = real_descriptors(), np.random.default_rng(seed)
    mixed, shares = random.integers(0, len(real), (count, MIXED)), random.dirichlet(SHARES, count)
    vectors = random.normal(0, NOISE, (count, real.shape[1]))
    for each in range(MIXED):
        vectors += real[mixed[:, each]] * shares[:, each, None]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Descriptors = (vectors * np.linalg.norm(real, axis=1).mean() / lengths).astype(np.float32)
    return scaled
