"""The estimate's law among few members with templates: how near single photos come, as that of a stranger does.

The members play the strangers. A template of several photos varies less than one photo, so templates are nearer to each
other than a stranger's photo is to any of them. From CROWD_MEMBERS on the score is a ratio of such distances, and does
not notice. Below, it also divides by a length, which is that of any face: the templates' scores are too low, and a law
of them lets in a quarter of alpha (docs/decision.md). So there each member asks with single photos.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from face128.domain.descriptors import Matrix, Metric, Vector
from face128.matching.cohort_score import COHORT_SIZE, CROWD_MEMBERS, cohort_scores, descriptor_lengths
from face128.matching.conformal import Cohort
from face128.matching.fast_distances import Indices, nearest_members

MAX_ASKING_PHOTOS = 4
"""Of a member: the first."""


def photos_ask(members: int) -> bool:
    """Whether photos ask, and not templates, among so many members by the template "mean"."""
    return members < CROWD_MEMBERS


def first_photos(member_keys: Indices) -> Indices:
    """The rows of the photos that ask, by the member of each photo."""
    order = np.argsort(member_keys, kind="stable")
    starts = np.searchsorted(member_keys[order], member_keys[order])
    return order[np.arange(len(order)) - starts < MAX_ASKING_PHOTOS]


def asked_by_photos(
    cohort: Cohort, photos: Matrix, own_ids: Indices, templates: Matrix, member_ids: Indices, metric: Metric
) -> Cohort:
    """The cohort of these templates, with the law of these photos.

    ``member_ids`` (templates,) and ``own_ids`` (photos,) are the members, numbered as the cohort's.
    """
    if not photos_ask(cohort.member_count):
        return cohort
    nearest, _ = nearest_members(photos, own_ids, templates, member_ids, metric, COHORT_SIZE + 1)
    scores = cohort_scores(nearest, descriptor_lengths(photos, metric), cohort.member_count)
    weights: Vector = 1 / np.bincount(own_ids)[own_ids]
    return replace(cohort, asking=(scores, weights))
