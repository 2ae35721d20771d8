"""Compares the members of a gallery with each other, once, for what any threshold would do among them.

The members of one space, all or of many a sample, ask who of all others is the nearest (asking_members.py). Kept are
distances, and numbers of faces; no descriptor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from face128.domain.template import Template
from face128.gallery.cohort.asked_members import AskedMembers
from face128.gallery.cohort.asking_members import MAX_OWN_PHOTOS, Everybody, blocks, read_rows
from face128.gallery.cohort.nearest_found import NEAREST, NearestFound
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.storage.database import Database
from face128.matching.threshold_effects import ThresholdEffects

MAX_DOORWAYS = 10
PROPOSED_DOORWAYS = 2000  # a pair is found from both sides, and by several photos

Pause = Callable[[float], bool]


@dataclass(frozen=True)
class Doorway:
    """Two members who are near to each other, by the ids of a face of each."""

    face_id: int
    other_face_id: int
    distance: float


@dataclass(frozen=True)
class Hub:
    """A member who is the nearest to several of those who have asked; each of these people counts 1."""

    face_id: int
    nearest_to: float


@dataclass(frozen=True)
class ComparedMembers:
    version: int
    """Of the gallery."""
    faces: int
    """In the space."""
    effects: ThresholdEffects
    doorways: list[Doorway]
    """The nearest first."""
    hubs: list[Hub]


class Interrupted(Exception):
    """The service ends."""


def compare_members(
    database: Database,
    space: StoredSpace,
    template: Template,
    pause: Pause = lambda seconds: False,
    progress: Callable[[float], None] = lambda share: None,
) -> ComparedMembers:
    """``pause`` is called after each block with the seconds that it took; where it says True, raises Interrupted."""
    everybody = Everybody.read(database, space, template)
    asking, own = everybody.asking()
    everyone = np.union1d(asking, own)
    photos = read_rows(database, everybody.photos_of(everyone, MAX_OWN_PHOTOS), space)
    several = everybody.templates_of_several(everyone if template == "mean" else everyone[:0])
    found = NearestFound(photos, read_rows(database, several, space), space)
    start, compared = time.monotonic(), 0
    for block in blocks(database, everybody.rows, space):
        found.compare(block)
        compared += len(block)
        progress(compared / len(everybody.rows.keys))
        if pause(time.monotonic() - start):
            raise Interrupted()
        start = time.monotonic()
    asked = AskedMembers(found, everybody.keys[asking], everybody.keys[own], len(everybody.keys), space, template)
    first_faces = dict(zip(everybody.keys.tolist(), everybody.first_faces.tolist(), strict=True))
    return ComparedMembers(
        everybody.version,
        int(everybody.photo_counts.sum()),
        ThresholdEffects(len(everybody.keys), asked.as_strangers(), asked.as_themselves()),
        [Doorway(first_faces[one], first_faces[other], distance) for one, other, distance in _nearest_pairs(found)],
        [Hub(first_faces[key], count) for key, count in asked.hubs()],
    )


def _nearest_pairs(found: NearestFound) -> list[tuple[int, int, float]]:
    """The keys of two people, each pair once, and their distance; the nearest first."""
    flat = found.distances.ravel()
    proposed = np.argsort(flat, kind="stable")[:PROPOSED_DOORWAYS]
    proposed = proposed[np.isfinite(flat[proposed])]
    sides = np.sort([found.keys[proposed // NEAREST], found.neighbours.ravel()[proposed]], axis=0)
    pairs: dict[tuple[int, int], float] = {}
    for one, other, distance in zip(*sides.tolist(), flat[proposed].tolist(), strict=True):
        pairs.setdefault((one, other), distance)
    return [(one, other, distance) for (one, other), distance in list(pairs.items())[:MAX_DOORWAYS]]
