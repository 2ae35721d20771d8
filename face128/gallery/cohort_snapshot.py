"""Scores a probe against the gallery's cohort, at one version of the gallery."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from face128.domain.decision_rule import Rule
from face128.domain.descriptors import Descriptors, Vector
from face128.domain.model_card import ModelCard
from face128.gallery.exact_search import lower_bound
from face128.gallery.index import Distances, Ids
from face128.gallery.index_sync import IndexSync
from face128.gallery.knn_graph import KnnGraph, Rows
from face128.matching.conformal import ConformalScore, require_enough_members

FIRST_CANDIDATES = 64
"""Faces requested from the index first: those of at least six members, unless one of them has many."""


@dataclass(frozen=True)
class ScoredCandidates:
    """The conformal score of one probe, and the candidates found for it."""

    conformal_score: ConformalScore | None
    _ids: Ids
    _distances: Distances
    _index: IndexSync | None = None
    """Where further candidates are searched; None if these are all."""

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        """As ``IndexSync.search``, for this probe only."""
        if self._index and k > len(self._ids):
            return self._index.search(vector, card, k)
        k = min(k, len(self._ids))
        nearest = np.argpartition(self._distances, k - 1)[:k] if k else np.empty(0, np.intp)
        nearest = nearest[np.isfinite(self._distances[nearest])]
        nearest = nearest[np.argsort(self._distances[nearest], kind="stable")]
        return self._ids[nearest], self._distances[nearest]


class CohortSnapshot:
    """The cohort of a graph. Valid until the graph's next update."""

    def __init__(self, graph: KnnGraph, version: int, card: ModelCard) -> None:
        self._graph, self._version, self._card = graph, version, card
        self._cohort = graph.cohort()
        self._ids = graph.ids.copy()

    def score(self, probe: Vector, rule: Rule, index: IndexSync | None) -> ScoredCandidates:
        """See CohortFollower.score. Raises TooFewMembers."""
        if rule.name == "cohort":
            require_enough_members(self._cohort.member_count, rule.alpha)
        scored = self._score_from_nearest(probe, rule.alpha, index) if index else None
        return scored or self._score_from_all(probe)

    def _score_from_nearest(self, probe: Vector, alpha: float, index: IndexSync) -> ScoredCandidates | None:
        """Compare only the nearest faces and the few others that decide; None if those are too many."""
        with np.errstate(over="ignore"):
            found = index.search_at(self._version, probe.astype(np.float32), self._card, FIRST_CANDIDATES)
        if found is None:
            return None
        ids, approximate = found
        complete = len(ids) < FIRST_CANDIDATES
        beyond = math.inf if complete else lower_bound(float(approximate[-1]), float(np.linalg.norm(probe)))
        graph, cohort = self._graph, self._cohort
        rows = self._rows_by_id[np.searchsorted(self._ids, ids, sorter=self._rows_by_id)]
        own_score = cohort.probe_score(rows, graph.exact_distances(rows, probe), beyond)
        if own_score is None:
            return None
        if (others := cohort.rows_to_rescore(own_score, beyond)) is not None:
            return ScoredCandidates(self._conformal_score(np.union1d(rows, others), probe), ids, approximate, index)
        if (lowest := cohort.lowest_rows(alpha)) is not None:
            risk = cohort.min_stranger_risk(own_score, lowest, graph.distance_bounds(probe, lowest)[0])
            if risk > alpha:  # the rule refuses the probe, whatever the other rows add
                return ScoredCandidates(ConformalScore(own_score, risk), ids, approximate, index)
        return None

    def _score_from_all(self, probe: Vector) -> ScoredCandidates:
        least, most = self._graph.distance_bounds(probe)
        rows = self._cohort.affected_rows(least, most)
        return ScoredCandidates(self._conformal_score(rows, probe), self._ids, least)

    def _conformal_score(self, rows: Rows, probe: Vector) -> ConformalScore | None:
        exact = self._graph.exact_distances(rows, probe)
        finite = np.isfinite(exact)
        return self._cohort.conformal_score(rows[finite], exact[finite])

    @cached_property
    def _rows_by_id(self) -> Rows:
        """The rows in the order of their ids."""
        return np.argsort(self._ids)
