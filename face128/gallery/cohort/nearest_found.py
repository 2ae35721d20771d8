"""The nearest members of each photo that asks, among rows that come some at a time."""

from __future__ import annotations

import math

import numpy as np

from face128.gallery.cohort.asking_members import Rows
from face128.gallery.rows.stored_space import StoredSpace
from face128.matching.asking_photos import MAX_ASKING_PHOTOS
from face128.matching.cohort_score import COHORT_SIZE, descriptor_lengths
from face128.matching.fast_distances import nearest_members

NEAREST = COHORT_SIZE + 1


class NearestFound:
    """The nearest members of each photo, and of each template of several photos, other than its own person."""

    def __init__(self, photos: Rows, several: Rows, space: StoredSpace) -> None:
        self.photos, self.several = photos, several
        _, first, ranks = np.unique(photos.keys, return_index=True, return_inverse=True)
        self.asks = np.arange(len(photos)) - first[ranks] < MAX_ASKING_PHOTOS if len(photos) else np.empty(0, np.bool_)
        """(photos,)"""
        self._metric = space.metric
        self._vectors = np.concatenate([photos.vectors[self.asks], several.vectors])
        self.keys = np.concatenate([photos.keys[self.asks], several.keys])
        """Of all that ask: photos, then templates."""
        self.lengths = descriptor_lengths(self._vectors, space.metric)
        self.distances = np.full((len(self.keys), NEAREST), math.inf)
        self.neighbours = np.zeros((len(self.keys), NEAREST), np.int64)
        """The keys of the nearest members."""

    def compare(self, block: Rows) -> None:
        members, member_ids = np.unique(block.keys, return_inverse=True)
        places = np.searchsorted(members, self.keys).clip(max=len(members) - 1)
        own = np.where(members[places] == self.keys, places, -1)
        near, ids = nearest_members(self._vectors, own, block.vectors, member_ids, self._metric, NEAREST)
        both = np.concatenate([self.distances, near], axis=1)
        keys = np.concatenate([self.neighbours, members[ids]], axis=1)
        order = np.argsort(both, axis=1, kind="stable")
        both, keys = np.take_along_axis(both, order, 1), np.take_along_axis(keys, order, 1)
        for place in range(1, both.shape[1]):  # photos of one member may be in several blocks: the nearest counts
            again = (keys[:, :place] == keys[:, place, None]) & np.isfinite(both[:, :place])
            both[again.any(axis=1), place] = math.inf
        order = np.argsort(both, axis=1, kind="stable")[:, :NEAREST]
        self.distances, self.neighbours = np.take_along_axis(both, order, 1), np.take_along_axis(keys, order, 1)
