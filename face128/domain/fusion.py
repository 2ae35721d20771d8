"""Pairs: the descriptors of one photo by two networks, joined to one descriptor of a model of their own.

The distance of two pairs is the Euclidean one, so templates, cohorts and indexes work on pairs as on any descriptors.
"""

from __future__ import annotations

import numpy as np

from face128.domain.descriptors import Matrix, Vector, distances

RETAIL_WEIGHT = 0.6
"""What the second network's numbers are multiplied by. Squares from 0.36 to 1 are alike on lfw-view1 and on two other
sets of people."""


def fuse(first: Matrix | Vector, second: Matrix | Vector) -> Vector:
    """Join descriptors of dlib's network and of retail, row by row: (rows, 384), or (384,) of two vectors; float64.

    Each is scaled to length 1, and the second then multiplied by RETAIL_WEIGHT. A descriptor of length 0 gives NaN,
    which is near to nothing. The lengths are exact sums as ``descriptors.distances`` defines them, so that a loop in
    any language finds the same bits.
    """
    return np.concatenate([_unit(first), RETAIL_WEIGHT * _unit(second)], axis=-1)


def _unit(vectors: Matrix | Vector) -> Vector:
    rows = np.atleast_2d(vectors).astype(np.float64)
    with np.errstate(all="ignore"):
        unit = rows / distances(rows, np.zeros(rows.shape[1]), "euclidean")[:, None]
    return np.asarray(unit.reshape(vectors.shape))
