"""The cohort of a k-NN graph at one version of the gallery, and what it makes of a probe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import Descriptors, Vector
from face128.gallery.cohort.knn_graph import KnnGraph, Rows
from face128.gallery.rows.space_rows import FaceBatch
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.exact_search import lower_bound
from face128.gallery.search.index import Distances, Ids
from face128.gallery.search.index_sync import Search
from face128.gallery.search.template_sync import VersionedIndex
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import CohortScore
from face128.matching.tails import require_enough_members, serving_tail

FIRST_CANDIDATES = 64
"""Faces requested from the index first: those of at least six members, unless one of them has many."""


@dataclass(frozen=True)
class ScoredCandidates:
    """The cohort score of one probe, and the candidates found for it."""

    cohort_score: CohortScore | None
    _ids: Ids
    _distances: Distances
    _search: Search | None = None
    """Finds further candidates; None if these are all."""

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        """As ``FaissIndexSync.search``, for this probe only."""
        if self._search and k > len(self._ids):
            return self._search(vector, k)
        k = min(k, len(self._ids))
        nearest = np.argpartition(self._distances, k - 1)[:k] if k else np.empty(0, np.intp)
        nearest = nearest[np.isfinite(self._distances[nearest])]
        nearest = nearest[np.argsort(self._distances[nearest], kind="stable")]
        return self._ids[nearest], self._distances[nearest]


class CohortSnapshot:
    """The cohort of a graph. Valid until the graph's next update."""

    def __init__(self, graph: KnnGraph, version: int, space: StoredSpace, photos: FaceBatch | None) -> None:
        """With the ``photos`` that ask, where the graph's rows are templates."""
        self._graph, self.version, self._space = graph, version, space
        self._cohort = graph.cohort(photos)
        self._ids = graph.ids.copy()

    def score(self, probe: Vector, rule: Rule, index: VersionedIndex | None) -> ScoredCandidates:
        """See CohortFollower.score."""
        if rule.name == "cohort":
            require_enough_members(self._cohort.member_count, rule)
        tail = serving_tail(rule, self._cohort.member_count)
        scored = self._score_from_nearest(probe, rule.greatest_risk, tail, index) if index else None
        return scored or self._score_from_all(probe, tail)

    def _score_from_nearest(
        self, probe: Vector, greatest_risk: float, tail: Tail, index: VersionedIndex
    ) -> ScoredCandidates | None:
        """Compare only the nearest faces and the few others that decide; None if those are too many."""
        with np.errstate(over="ignore"):
            found = index.search_at(self.version, probe.astype(np.float32), FIRST_CANDIDATES)
        if found is None:
            return None
        ids, approximate = found
        complete = len(ids) < FIRST_CANDIDATES
        beyond = math.inf if complete else lower_bound(float(approximate[-1]), float(np.linalg.norm(probe)))
        graph, cohort = self._graph, self._cohort
        rows = self._rows_by_id[np.searchsorted(self._ids, ids, sorter=self._rows_by_id)]
        own_score = cohort.probe_score(rows, graph.exact_distances(rows, probe), self._length(probe), beyond)
        if own_score is None:
            return None
        if tail == "estimate":
            return ScoredCandidates(self._cohort_score(rows, probe, tail), ids, approximate, index.search)
        if (others := cohort.rows_to_rescore(own_score, beyond)) is not None:
            compared = np.union1d(rows, others)
            return ScoredCandidates(self._cohort_score(compared, probe, tail), ids, approximate, index.search)
        if (lowest := cohort.lowest_rows(greatest_risk)) is not None:
            risk = cohort.min_stranger_risk(own_score, lowest, graph.distance_bounds(probe, lowest)[0])
            if risk > greatest_risk:  # the rule refuses the probe, whatever the other rows add
                return ScoredCandidates(CohortScore(own_score, risk, tail), ids, approximate, index.search)
        return None

    def _score_from_all(self, probe: Vector, tail: Tail) -> ScoredCandidates:
        least, most = self._graph.distance_bounds(probe)
        rows = self._cohort.affected_rows(least, most, tail)
        return ScoredCandidates(self._cohort_score(rows, probe, tail), self._ids, least)

    def _cohort_score(self, rows: Rows, probe: Vector, tail: Tail) -> CohortScore | None:
        exact = self._graph.exact_distances(rows, probe)
        finite = np.isfinite(exact)
        return self._cohort.score(rows[finite], exact[finite], self._length(probe), tail)

    def _length(self, probe: Vector) -> float:
        return float(descriptor_lengths(probe[None], self._space.metric)[0])

    @cached_property
    def _rows_by_id(self) -> Rows:
        return self._graph.rows_by_id()
