"""What the members who have asked each other show: how near strangers come, and how near they are to themselves."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from face128.domain.decision_rule import Tail
from face128.domain.descriptors import Vector, distances
from face128.domain.template import Template
from face128.gallery.cohort.nearest_found import NEAREST, NearestFound
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.index import Ids
from face128.matching.asking_photos import photos_ask
from face128.matching.cohort_score import cohort_scores
from face128.matching.fast_distances import Indices
from face128.matching.tails import GumbelTail
from face128.matching.templates import templates
from face128.matching.threshold_effects import AskedPhotos, Curve, OwnPhotos, equal_shares

MAX_HUBS = 5
MIN_HUB_NEIGHBOURS = 3  # to whom a hub is the nearest; on average each member is nearest to one other
ROUNDING = 1e-9  # thirds do not sum to one

Mask = npt.NDArray[np.bool_]


class AskedMembers:
    """What was found, as scores and risks.

    The members' own scores are those of the cohort's rows: templates, or by "nearest" photos. So is the law, except
    where photos ask.
    """

    def __init__(
        self, found: NearestFound, asking: Ids, own: Ids, members: int, space: StoredSpace, template: Template
    ) -> None:
        self._found, self._members, self._space, self._template = found, members, space, template
        self._photo_count = int(found.asks.sum())
        self._asking, self._own = np.isin(found.keys, asking), np.isin(found.keys, own)
        self._asked = len(np.unique(found.keys[self._asking]))
        self.scores = cohort_scores(found.distances, found.lengths, members)
        of_rows = np.concatenate([~self._joined_photos[found.asks], np.ones(len(found.several), np.bool_)])
        self._rows = np.flatnonzero(of_rows & self._asking)
        self._row_weights = equal_shares(found.keys[self._rows])
        of_law = self._rows
        if template == "mean" and photos_ask(members):
            of_law = np.flatnonzero(self._asking[: self._photo_count])
        self._law = GumbelTail(math.nan, math.nan)
        if len(of_law):
            self._law = GumbelTail.of(self.scores[of_law], equal_shares(found.keys[of_law]))

    @cached_property
    def _joined_photos(self) -> Mask:
        """(photos,) which are parts of a template of several: those are no rows of a cohort."""
        photos, several = self._found.photos, self._found.several
        groups = set(zip(several.keys.tolist(), several.models.tolist(), strict=True))
        pairs = zip(photos.keys.tolist(), photos.models.tolist(), strict=True)
        return np.array([pair in groups for pair in pairs], np.bool_)

    def as_strangers(self) -> AskedPhotos:
        found = self._found
        photos = np.flatnonzero(self._asking[: self._photo_count])
        nearest, scores = found.distances[photos, 0], self.scores[photos]
        exact = (1 + self._others_within(photos, scores)) / self._members
        return AskedPhotos(found.keys[photos], nearest, self._risks(nearest, scores, exact))

    def as_themselves(self) -> OwnPhotos:
        """Each photo is compared with what would be kept of its person without it."""
        found = self._found
        photos, apart, rows = self._rests()
        asked = np.unique(photos)
        places = np.searchsorted(asked, photos)
        own = np.full(len(asked), math.inf)
        np.minimum.at(own, places, apart)
        nearest = np.sort(np.column_stack([own, found.distances[asked]]), axis=1)[:, :NEAREST]
        scores = cohort_scores(nearest, found.lengths[asked], self._members)
        # By the exact tail the photo joins the cohort: what is kept of its person may score as low, because of it.
        known = rows >= 0
        joined = np.sort(np.column_stack([apart[known], found.distances[rows[known]]]), axis=1)[:, :NEAREST]
        as_low = cohort_scores(joined, found.lengths[rows[known]], self._members) <= scores[places[known]]
        weights = equal_shares(places[known])
        counted = np.bincount(places[known], weights * as_low, minlength=len(asked))
        exact = (1 + self._others_within(asked, scores) + counted) / (self._members + 1)
        risks = self._risks(nearest[:, 0], scores, exact)
        return OwnPhotos(found.keys[asked], nearest[:, 0], risks, own, own <= found.distances[asked, 0])

    def hubs(self) -> list[tuple[int, float]]:
        """The keys of the members who are the nearest to most others, and to how many."""
        found = self._found
        near = np.isfinite(found.distances[self._rows, 0])
        keys, numbers = np.unique(found.neighbours[self._rows[near], 0], return_inverse=True)
        counts = np.bincount(numbers, self._row_weights[near])
        most = np.argsort(-counts, kind="stable")[:MAX_HUBS]
        most = most[counts[most] >= MIN_HUB_NEIGHBOURS - ROUNDING]
        return [(int(keys[place]), float(counts[place])) for place in most]

    def _rests(self) -> tuple[Indices, Vector, Indices]:
        """Of each photo that asks as its own person's, what is kept of that person without it: a row for each.

        The place of the photo, the distance, and the place of the row, both among all that ask; -1 if it does not.
        """
        found, photos, metric = self._found, self._found.photos, self._space.metric
        places_of_asking = np.flatnonzero(found.asks)
        asked = np.flatnonzero(self._own[: self._photo_count])
        one, other = _same(found.keys[asked], photos.keys)
        one = asked[one]
        different = places_of_asking[one] != other
        one, other = one[different], other[different]
        vectors = photos.vectors[other]
        if self._template == "mean" and len(other):
            _, models = np.unique(photos.models, return_inverse=True)
            groups = one * (int(models.max()) + 1) + models[other]
            means = templates(vectors, groups, metric, self._space.cohort_cap)
            one, other, vectors = one[means.first_rows], other[means.first_rows], means.vectors
        apart = distances(vectors, photos.vectors[places_of_asking[one]], metric)
        apart[~np.isfinite(apart)] = math.inf
        return one, apart, self._row_of_photo[other]

    @cached_property
    def _row_of_photo(self) -> Indices:
        """(photos,) the place, among all that ask, of the row that each photo is, or is a part of; -1: it does not."""
        found, photos = self._found, self._found.photos
        rows = np.full(len(photos), -1)
        rows[found.asks] = np.arange(self._photo_count)
        several = zip(found.several.keys.tolist(), found.several.models.tolist(), strict=True)
        places = {group: place for place, group in enumerate(several, self._photo_count)}
        for place in np.flatnonzero(self._joined_photos).tolist():
            rows[place] = places[int(photos.keys[place]), str(photos.models[place])]
        return rows

    def _others_within(self, asked: Indices, scores: Vector) -> Vector:
        """How many of the other members have a score of at most ``scores``: counted, or estimated from the sample."""
        rows, keys = self._rows, self._found.keys
        curve = Curve.of(self.scores[rows], self._row_weights)
        sums = np.concatenate([[0.0], curve.weights.cumsum()])
        within = sums[np.searchsorted(curve.values, scores, side="right")]
        one, row = _same(keys[asked], keys[rows])
        as_low = self._row_weights[row] * (self.scores[rows[row]] <= scores[one])
        within -= np.bincount(one, as_low, minlength=len(asked))
        others = np.maximum(1, self._asked - self._asking[asked])
        return np.asarray(np.round(within * (self._members - 1) / others, 9))

    def _risks(self, nearest: Vector, scores: Vector, exact: Vector) -> dict[Tail, Vector]:
        beyond = (nearest > self._space.cohort_cap) | ~np.isfinite(scores)
        estimate = np.array([self._law.stranger_risk(score) for score in scores.tolist()])
        return {"exact": np.where(beyond, math.inf, exact), "estimate": np.where(beyond, math.inf, estimate)}


def _same(keys: Ids, sought: Ids) -> tuple[Indices, Indices]:
    """The places of all pairs of equal keys, one of each array."""
    order = np.argsort(sought, kind="stable")
    first, last = (np.searchsorted(sought[order], keys, side=side) for side in ("left", "right"))
    counts = last - first
    one = np.arange(len(keys)).repeat(counts)
    steps = np.arange(counts.sum()) - (counts.cumsum() - counts).repeat(counts)
    return one, order[first.repeat(counts) + steps]
