"""The score of a face among members: how near the nearest is, measured by how near the next ones are.

Let ``d1 <= d2 <= ...`` be the distances of a face to the members (to the nearest descriptor of each), ``crowd`` the
mean of d2 ... d6, and ``length`` the Euclidean length of the face's descriptor (1 where the metric is the cosine):

    score = d1 / crowd                   among CROWD_MEMBERS or more
    score = d1 / sqrt(crowd * length)    among fewer

A member's own photo is much nearer to that member than to the next five: the score is small. A stranger is about as far
from the nearest member as from the next ones, even among members whom the network tells apart badly. Few members say
little about that, so among them the crowd is only half of the measure. The other half is the descriptor's length:
descriptors of all faces have about the same, and longer ones are further from everything. (docs/decision.md has what
each part is worth.)
"""

from __future__ import annotations

import numpy as np

from face128.domain.descriptors import Matrix, Metric, Vector, distances

COHORT_SIZE = 5
"""Members after the nearest whose mean distance the score divides by."""
MIN_MEMBERS = COHORT_SIZE + 2
"""With fewer members, a member has no COHORT_SIZE + 1 others, and there is no score."""
CROWD_MEMBERS = 200
"""From so many members on the length adds nothing to the crowd: measured on lfw-view1 (docs/decision.md)."""


def cohort_scores(nearest: Vector, lengths: Vector, members: int) -> Vector:
    """The scores of ascending distances (..., COHORT_SIZE + 1) of faces with these ``lengths`` (...,).

    0 is the same picture. Infinite where there is none: too few finite distances, or all are zero.
    """
    with np.errstate(all="ignore"):
        # Column by column: numpy's mean of so short rows takes three times as long.
        crowd = np.asarray(sum(nearest[..., column] for column in range(1, COHORT_SIZE + 1))) / COHORT_SIZE
        scale = crowd if members >= CROWD_MEMBERS else np.sqrt(crowd * lengths)
        return np.where((scale > 0) & np.isfinite(scale), nearest[..., 0] / scale, np.inf)


def descriptor_lengths(vectors: Matrix, metric: Metric) -> Vector:
    """(rows,) what a score takes for the lengths of these descriptors, as exact as a distance."""
    return np.ones(len(vectors)) if metric == "cosine" else distances(vectors, np.zeros(vectors.shape[1]), metric)
