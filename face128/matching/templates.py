"""One descriptor for a person with several photos: the mean of their descriptors, without those that are far away.

The definition, to the last bit (docs/decision.md; the npm client computes the same). For the m descriptors of one
person and one model, in their order:

1. A person's centre is the photo, among the first MAX_CENTRES, that has the most of these within ``limit`` of itself;
   of several the first. Distances are those of ``descriptors.distances``.
2. The photos within ``limit`` of the centre, itself included, are kept if they are more than half of all. Otherwise
   nobody can say which are wrong (as with two photos that differ), and all are kept.
3. The template is the sum of the kept descriptors, added as doubles from the first to the last, divided by their
   number. So the template of one photo is that photo's descriptor.

``limit`` is the model's ``cohort_cap``, 0.6 for dlib's: its authors' bound for one person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix, Metric, Vector, distances
from face128.domain.members import MemberList
from face128.domain.model_card import ModelCard

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

MAX_CENTRES = 16
"""Photos of a person that are compared with each other: a list with thousands of one person takes no longer."""
BLOCK_NUMBERS = 2**16
"""Numbers in work at once: their differences fit into the processor's cache."""
ROUNDING = 1e-9
"""Far above the error of a squared distance around ``limit``, in any order of summation."""


@dataclass(frozen=True)
class Templates:
    """One row for each person, in the order of their first descriptors."""

    vectors: Vector
    """(people, dimension)"""
    first_rows: Rows
    """(people,) the row of each person's first descriptor."""


def far_from_the_others(vectors: Matrix, metric: Metric, limit: float) -> tuple[Mask, Vector]:
    """Which of one person's descriptors are beyond ``limit`` of the centre, and each one's distance to it: (rows,)."""
    far, centre = _far(vectors[None].astype(np.float64), metric, limit)
    return far[0], distances(vectors, vectors[centre[0]], metric)


def kept(far: Mask) -> Mask:
    """(..., rows) which descriptors the mean is of: those that are not ``far``, or all if these are no majority."""
    near = ~far
    return np.asarray(near | (2 * near.sum(axis=-1, keepdims=True) <= far.shape[-1]))


def templates(vectors: Matrix, person_ids: Rows, metric: Metric, limit: float) -> Templates:
    """The templates of (rows, dimension) descriptors; equal numbers in ``person_ids`` mean the same person."""
    order = np.argsort(person_ids, kind="stable")
    _, starts, counts = np.unique(person_ids[order], return_index=True, return_counts=True)
    means = np.empty((len(starts), vectors.shape[1]))
    for count in np.unique(counts).tolist():
        of_count = np.flatnonzero(counts == count)
        step = max(1, BLOCK_NUMBERS // (count * max(1, vectors.shape[1])))
        for start in range(0, len(of_count), step):
            people = of_count[start : start + step]
            rows = order[starts[people, None] + np.arange(count)]
            means[people] = _means(vectors[rows].astype(np.float64), metric, limit)
    in_order = np.argsort(order[starts], kind="stable")
    return Templates(means[in_order], order[starts][in_order])


def mean_members(members: MemberList, card: ModelCard) -> MemberList:
    """The list with one template for each person and model, kept with it; itself if each person has one descriptor.

    Entries with one regNo are one person, who has the name of the first of them.
    """
    if "mean" not in members.derived:
        members.derived.setdefault("mean", _mean_members(members, card))
    return cast(MemberList, members.derived["mean"])


def _mean_members(members: MemberList, card: ModelCard) -> MemberList:
    # The mean is of one model's descriptors: a person with those of another, comparable one has two templates.
    other_model = np.zeros(len(members.owners), np.bool_) if members.other_model is None else members.other_model
    keys = 2 * members.person_ids + other_model
    if len(np.unique(keys)) == len(keys):
        return members
    found = templates(members.vectors, keys, card.metric, card.cohort_cap)
    return members.with_rows(found.vectors, members.owners[found.first_rows], other_model[found.first_rows])


def _means(descriptors: Vector, metric: Metric, limit: float) -> Vector:
    """(people, dimension) of (people, count, dimension), which is overwritten."""
    count = descriptors.shape[1]
    if count == 1:
        return descriptors[:, 0]
    if count == 2:  # neither can be left out
        with np.errstate(over="ignore"):
            return np.asarray((descriptors[:, 0] + descriptors[:, 1]) / 2)
    keep = kept(_far(descriptors, metric, limit)[0])
    descriptors[~keep] = 0.0
    sums = np.zeros_like(descriptors[:, 0])
    with np.errstate(over="ignore"):
        for photo in range(count):
            sums += descriptors[:, photo]
        return np.asarray(sums / keep.sum(axis=1)[:, None])


def _far(descriptors: Vector, metric: Metric, limit: float) -> tuple[Mask, Rows]:
    """Of (people, count, dimension): which are beyond ``limit`` of their centre, (people, count), and the centres."""
    people, count, dimension = descriptors.shape
    centres = min(count, MAX_CENTRES)
    others_within = np.zeros((people, centres), np.intp)
    for one in range(centres):
        for other in range(one + 1, centres):
            near = _within(descriptors[:, one], descriptors[:, other], metric, limit)
            others_within[:, one] += near
            others_within[:, other] += near
    centre, lines = others_within.argmax(axis=1), np.arange(people)
    at_centre = descriptors[lines, centre].repeat(count, axis=0)
    far = ~_within(descriptors.reshape(-1, dimension), at_centre, metric, limit).reshape(people, count)
    far[lines, centre] = False
    return far, centre


def _within(a: Vector, b: Vector, metric: Metric, limit: float) -> Mask:
    """Whether ``distances`` of the rows are at most ``limit``, computed faster where rounding does not matter."""
    if metric == "cosine":
        return distances(a, b, metric) <= limit
    with np.errstate(all="ignore"):
        differences = a - b
        squares = np.vecdot(differences, differences)
    near = np.asarray(squares <= limit**2)
    unsure = np.abs(squares - limit**2) <= ROUNDING
    near[unsure] = distances(a[unsure], b[unsure], metric) <= limit
    return near
