"""The gallery's cohort, at the version of the gallery that a search sees.

A cohort is built in the background, when the cohort rule is first used, or at the start of a service with that rule.
After that it follows the changes, as the index does. Each worker process has its own; all find the same distances.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import Descriptors, Vector
from face128.domain.template import Template
from face128.errors import Face128Error, NotReady, TooLarge
from face128.gallery.database import Database, fetch_all
from face128.gallery.exact_search import lower_bound
from face128.gallery.index import Distances, Ids
from face128.gallery.knn_graph import KnnGraph, Rows
from face128.gallery.person_templates import PersonTemplates, joined, template_batches
from face128.gallery.rwlock import ReadWriteLock
from face128.gallery.space_rows import FaceBatch, count_photos, erased_ids, read_faces, read_owners
from face128.gallery.stored_space import StoredSpace
from face128.gallery.template_sync import VersionedIndex
from face128.logs import plain_traceback
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import CohortScore
from face128.matching.tails import require_enough_members, serving_tail
from face128.process_memory import OverwritingFreedMemory

log = logging.getLogger("face128")

MAX_COHORT_FACES = 200_000
"""Takes 150 MB in each worker process, and some minutes of one core to compare all of them once."""
MAX_UPDATE_PAIRS = 100_000_000
"""Pairs that one request may compare to follow changes: 1,000 new faces among 100,000 take two seconds."""
BUILD_TIMEOUT_S = 3.0
"""How long a request waits for a cohort that is being built: 20,000 faces are ready by then."""
FIRST_CANDIDATES = 64
"""Faces requested from the index first: those of at least six members, unless one of them has many."""


class CohortFollower:
    """The k-NN graph of a space, and the version of the gallery that it has reached.

    Thread-safe. A connection determines the version: that of the gallery that its transaction sees.
    """

    def __init__(self, database: Database, space: StoredSpace, template: Template = "nearest") -> None:
        self._database, self._space, self._template = database, space, template
        self._people = PersonTemplates()
        """By the template "mean", what the rows of the graph are of."""
        self._graph: KnnGraph | None = None
        self._snapshot: CohortSnapshot | None = None
        self._version = -1
        self._lock = ReadWriteLock()
        self._build: Future[None] | None = None
        self._build_lock = threading.Lock()

    def build(self, timeout_s: float) -> bool:
        """Start to build the graph, unless there is one of any version. Returns whether it is ready in time.

        Raises the error that the build failed with.
        """
        with self._build_lock:
            if self._graph is not None:
                return True
            if self._build is None or self._build.done():
                self._build = Future()
                threading.Thread(target=self._run_build, args=(self._build,), daemon=True).start()
            build = self._build
        try:
            build.result(timeout_s)
        except TimeoutError:
            return False
        return True

    def catch_up(self, connection: sa.Connection) -> bool:
        """Bring the graph to the transaction's version; False if there is none, or if it must be built anew."""
        version, complete_from = _versions(connection)
        if self._graph is not None and version <= self._version:
            return True
        with self._lock.writing(), OverwritingFreedMemory():
            if self._graph is None or version <= self._version:
                return self._graph is not None
            gone = erased_ids(connection, self._version)
            changes = len(gone) + count_photos(connection, self._space, self._version)
            if self._version < complete_from or changes * (len(self._graph) + changes) > MAX_UPDATE_PAIRS:
                self._graph = self._snapshot = None
                return False
            try:
                self._graph.update(*self._changes(connection, self._people, gone, self._version))
            except BaseException:  # half of the changes: all is built anew
                self._graph = self._snapshot = None
                raise
            self._version, self._snapshot = version, None
        return True

    def _changes(
        self, connection: sa.Connection, people: PersonTemplates, gone: Ids, above: int | None = None
    ) -> tuple[Ids, FaceBatch]:
        """The rows of the graph that are gone, and the new ones: faces, or templates."""
        if self._template == "nearest":
            return gone, read_faces(connection, self._space, above)
        changes = people.update(gone, read_owners(connection, self._space, above))
        batches = [batch for _, batch in template_batches(connection, changes, self._space)]
        return changes.gone, joined(batches, self._space.dimension)

    def score(
        self, connection: sa.Connection, probe: Vector, rule: Rule, index: VersionedIndex | None
    ) -> ScoredCandidates | None:
        """Score a probe; None if the cohort is at a later version than this transaction.

        With an ``index``, only the rule's decision is computed: often the index's nearest faces suffice, which is
        faster than comparing all. If the verdict is "no", the exact tail's ``stranger_risk`` may then be lower than the
        true one, but is above the rule's ``greatest_risk``.

        Raises NotReady while the cohort is being built, TooLarge where the gallery has more than MAX_COHORT_FACES, and
        TooFewMembers where there are too few members for the cohort rule's alpha.
        """
        deadline = time.monotonic() + BUILD_TIMEOUT_S
        while self.build(deadline - time.monotonic()):
            if self.catch_up(connection):
                with self._lock.reading():
                    if self._graph is None or self._version != _versions(connection)[0]:
                        return None
                    if self._snapshot is None:
                        self._snapshot = CohortSnapshot(self._graph, self._version, self._space)
                    return self._snapshot.score(probe, rule, index)
        raise NotReady("The members are being compared with each other. Try again soon.")

    def _run_build(self, build: Future[None]) -> None:
        try:
            with OverwritingFreedMemory(), self._database.reading() as connection:
                version, _ = _versions(connection)
                if (count := count_photos(connection, self._space)) > MAX_COHORT_FACES:
                    raise TooLarge(
                        f"The cohort rule takes at most {MAX_COHORT_FACES:,} faces; the gallery has {count:,}."
                    )
                people = PersonTemplates()
                everybody = self._changes(connection, people, np.empty(0, np.int64))
            stored = self._template == "nearest" and not self._space.of_pairs  # means and pairs are doubles
            graph = KnnGraph(self._space.metric, self._space.dimension, np.float32 if stored else np.float64)
            graph.update(*everybody)
            with self._lock.writing():
                self._graph, self._people, self._version, self._snapshot = graph, people, version, None
            build.set_result(None)
        except BaseException as error:
            log.error("the gallery's cohort: %s", error if isinstance(error, Face128Error) else plain_traceback(error))
            build.set_exception(error)


@dataclass(frozen=True)
class ScoredCandidates:
    """The cohort score of one probe, and the candidates found for it."""

    cohort_score: CohortScore | None
    _ids: Ids
    _distances: Distances
    _index: VersionedIndex | None = None
    """Where further candidates are searched; None if these are all."""

    def search(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        """As ``FaissIndexSync.search``, for this probe only."""
        if self._index and k > len(self._ids):
            return self._index.search(vector, k)
        k = min(k, len(self._ids))
        nearest = np.argpartition(self._distances, k - 1)[:k] if k else np.empty(0, np.intp)
        nearest = nearest[np.isfinite(self._distances[nearest])]
        nearest = nearest[np.argsort(self._distances[nearest], kind="stable")]
        return self._ids[nearest], self._distances[nearest]


class CohortSnapshot:
    """The cohort of a graph. Valid until the graph's next update."""

    def __init__(self, graph: KnnGraph, version: int, space: StoredSpace) -> None:
        self._graph, self._version, self._space = graph, version, space
        self._cohort = graph.cohort()
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
            found = index.search_at(self._version, probe.astype(np.float32), FIRST_CANDIDATES)
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
            return ScoredCandidates(self._cohort_score(rows, probe, tail), ids, approximate, index)
        if (others := cohort.rows_to_rescore(own_score, beyond)) is not None:
            return ScoredCandidates(self._cohort_score(np.union1d(rows, others), probe, tail), ids, approximate, index)
        if (lowest := cohort.lowest_rows(greatest_risk)) is not None:
            risk = cohort.min_stranger_risk(own_score, lowest, graph.distance_bounds(probe, lowest)[0])
            if risk > greatest_risk:  # the rule refuses the probe, whatever the other rows add
                return ScoredCandidates(CohortScore(own_score, risk, tail), ids, approximate, index)
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
        """The rows in the order of their ids."""
        return np.argsort(self._ids)


def _versions(connection: sa.Connection) -> tuple[int, int]:
    """The gallery's version, and the version from which changes are listed completely."""
    return fetch_all(connection, "SELECT version, complete_from FROM state")[0]
