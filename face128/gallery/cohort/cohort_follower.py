"""The gallery's cohort, at the version of the gallery that a search sees.

A cohort is built in the background, when the cohort rule is first used, or at the start of a service with that rule.
After that it follows the changes, as the index does. Each worker process has its own; all find the same distances.
Among many faces a sample of people gives an estimate first (sampled_tail.py), and for good among too many for a cohort.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import Rule, Tail
from face128.domain.descriptors import Vector
from face128.domain.template import Template
from face128.errors import Face128Error, NotReady, TooLarge
from face128.gallery.cohort.cohort_snapshot import CohortSnapshot, ScoredCandidates
from face128.gallery.cohort.knn_graph import KnnGraph
from face128.gallery.cohort.sampled_tail import Nearest, SampledTail, take_sample
from face128.gallery.rows.space_rows import FaceBatch, count_photos, erased_ids, read_faces, read_owners
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.follower import GalleryChanged
from face128.gallery.search.index import Ids
from face128.gallery.search.person_templates import PersonTemplates, joined, template_batches
from face128.gallery.search.rwlock import ReadWriteLock
from face128.gallery.search.template_sync import VersionedIndex
from face128.gallery.storage.database import Database, fetch_all
from face128.logs import plain_traceback
from face128.matching.conformal import Cohort
from face128.matching.tails import require_enough_members
from face128.process_memory import OverwritingFreedMemory

log = logging.getLogger("face128")

MAX_COHORT_FACES = 200_000
"""Takes 150 MB in each worker process, and some minutes of one core to compare all of them once."""
MAX_UPDATE_PAIRS = 100_000_000
"""Pairs that one request may compare to follow changes: 1,000 new faces among 100,000 take two seconds."""
BUILD_TIMEOUT_S = 3.0
"""How long a request waits for a cohort that is being built: 20,000 faces are ready by then."""
MIN_SAMPLED_FACES = 20_000
"""From so many on a sample answers first: all of fewer are compared within BUILD_TIMEOUT_S."""
RESAMPLE_SHARE = 0.1
"""Of the faces: after so many changes the sample is taken anew."""


class CohortFollower:
    """The k-NN graph of a space, and the version of the gallery that it has reached.

    Thread-safe. A connection determines the version: that of the gallery that its transaction sees.
    """

    def __init__(self, database: Database, space: StoredSpace, template: Template, nearest: Nearest) -> None:
        """``nearest`` finds the nearest faces, or by the template "mean" the nearest people."""
        self._database, self._space, self._template, self._nearest = database, space, template, nearest
        self._people = PersonTemplates()
        """By the template "mean", what the rows of the graph are of."""
        self._graph: KnnGraph | None = None
        self._snapshot: CohortSnapshot | None = None
        self._version = -1
        self._lock = ReadWriteLock()
        self._sample: SampledTail | None = None
        """None once there is a graph."""
        self._sample_is_old = False
        self._changes_seen = (-1, 0)
        """A version of the gallery, and the number of changes from the sample's version to this one."""
        self._build: _Build | None = None
        self._build_lock = threading.Lock()

    def build(self, timeout_s: float, tail: Tail | Literal["auto"] = "exact") -> bool:
        """Start to build the graph, unless there is one of any version. Returns whether it is ready in time.

        For another ``tail`` than "exact", a sample is enough. Raises the error that the build failed with.
        """
        deadline = time.monotonic() + timeout_s
        with self._build_lock:
            sampled = tail != "exact" and self._sample is not None
            ready = self._graph is not None or (sampled and not self._sample_is_old)
            if not ready and (self._build is None or not self._build.running):
                self._build = _Build()
                threading.Thread(target=self._run_build, args=(self._build,), daemon=True).start()
            build = self._build
        if ready or sampled or build is None:
            return True
        try:
            if tail != "exact" and build.sampled.result(timeout_s):
                return True
            build.whole.result(deadline - time.monotonic())
        except TimeoutError:
            return False
        return True

    def catch_up(self, connection: sa.Connection) -> bool:
        """Bring the graph to the transaction's version; False if there is none, or if it must be built anew."""
        version, complete_from = _versions(connection)
        if self._graph is not None and version <= self._version:
            return True
        if self._graph is None:
            return False
        with self._lock.writing(), OverwritingFreedMemory():
            if self._graph is None or version <= self._version:
                return self._graph is not None
            gone = self._known(erased_ids(connection, self._version))
            changes = len(gone) + count_photos(connection, self._space, self._version)
            if not changes and self._version >= complete_from:  # another collection or space has changed
                self._version = version
                if self._snapshot is not None:
                    self._snapshot.version = version
                return True
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

    def _known(self, ids: Ids) -> Ids:
        """Those of these faces that the graph, or its people, have: others are of another collection or space."""
        if self._graph is None or not len(ids):
            return ids
        return ids[np.isin(ids, self._graph.ids if self._template == "nearest" else self._people.ids)]

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

        While there is no graph, the answer is the estimate of the sample, if the rule's tail allows that and there is
        a sample. Otherwise raises NotReady while the cohort is being built, TooLarge where the gallery has more than
        MAX_COHORT_FACES, and TooFewMembers where there are too few members for the cohort rule's alpha.
        """
        deadline = time.monotonic() + BUILD_TIMEOUT_S
        if (sample := self._sample) is not None:
            self._count_changes(connection, sample)
        while self.build(deadline - time.monotonic(), rule.tail):
            if self._graph is None and rule.tail != "exact" and (sample := self._sample) is not None:
                return self._score_by_sample(connection, probe, rule, sample)
            if self.catch_up(connection):
                with self._lock.reading():
                    if self._graph is None or self._version != _versions(connection)[0]:
                        return None
                    if self._snapshot is None:
                        photos = self._asking_photos(connection)
                        self._snapshot = CohortSnapshot(self._graph, self._version, self._space, photos)
                    return self._snapshot.score(probe, rule, index)
        raise NotReady("The members are being compared with each other. Try again soon.")

    def _asking_photos(self, connection: sa.Connection) -> FaceBatch | None:
        """The photos that ask, at the graph's version; None where its rows do."""
        asking = self._people.asking()
        if asking is None:
            return None
        batches = [batch for _, batch in template_batches(connection, asking, self._space)]
        return joined(batches, self._space.dimension)

    def copy(self, connection: sa.Connection) -> Cohort | None:
        """A copy of the cohort at the transaction's version; None while there is no graph.

        Raises GalleryChanged if the graph is at a later version than this transaction.
        """
        if not self.catch_up(connection):
            return None
        with self._lock.reading():
            if self._graph is None or self._version != _versions(connection)[0]:
                raise GalleryChanged()
            now = self._graph.cohort()
            return Cohort(now.member_ids, now.neighbour_distances.copy(), now.lengths.copy())

    def _score_by_sample(
        self, connection: sa.Connection, probe: Vector, rule: Rule, sample: SampledTail
    ) -> ScoredCandidates:
        if rule.name == "cohort":
            require_enough_members(sample.people, rule)
        candidates = self._nearest.candidates(probe)
        hits = self._nearest.hits(connection, probe, candidates.search)
        return replace(candidates, cohort_score=sample.score(hits, probe, self._space.metric))

    def _count_changes(self, connection: sa.Connection, sample: SampledTail) -> None:
        """Notice that the sample has become too old. Only changes that have not been counted yet are."""
        version, complete_from = _versions(connection)
        with self._build_lock:
            seen, changes = self._changes_seen
            if self._sample is not sample or version <= seen:
                return
            changes += len(erased_ids(connection, seen)) + count_photos(connection, self._space, seen)
            self._changes_seen = version, changes
            self._sample_is_old |= seen < complete_from or changes > RESAMPLE_SHARE * sample.faces

    def _run_build(self, build: _Build) -> None:
        try:
            with self._database.reading() as connection:
                count = count_photos(connection, self._space)
            if count > MAX_COHORT_FACES:
                message = f"The cohort rule takes at most {MAX_COHORT_FACES:,} faces; the gallery has {count:,}."
                build.whole.set_exception(TooLarge(message))
            build.sampled.set_result(self._try_sample() if count > MIN_SAMPLED_FACES else None)
            if count <= MAX_COHORT_FACES:
                self._build_graph()
                build.whole.set_result(None)
            elif self._sample is None:
                log.error("the gallery's cohort: %s", message)
        except BaseException as error:
            log.error("the gallery's cohort: %s", error if isinstance(error, Face128Error) else plain_traceback(error))
            build.fail(error)
        finally:
            build.running = False

    def _try_sample(self) -> SampledTail | None:
        """Take a sample, unless there is a new one. None if that fails: the whole cohort may still be built."""
        if (sample := self._sample) is not None and not self._sample_is_old:
            return sample
        try:
            sample = take_sample(self._database, self._space, self._template, self._nearest)
        except Exception as error:
            message = error if isinstance(error, Face128Error) else plain_traceback(error)
            log.error("the sample of the gallery's cohort: %s", message)
            return None
        with self._build_lock:
            self._sample, self._sample_is_old = sample, False
            self._changes_seen = (sample.version if sample else -1, 0)
        return sample

    def _build_graph(self) -> None:
        with OverwritingFreedMemory(), self._database.reading() as connection:
            version, _ = _versions(connection)
            people = PersonTemplates()
            everybody = self._changes(connection, people, np.empty(0, np.int64))
        stored = self._template == "nearest" and not self._space.of_pairs  # means and pairs are doubles
        graph = KnnGraph(self._space.metric, self._space.dimension, np.float32 if stored else np.float64)
        with OverwritingFreedMemory():
            graph.update(*everybody)
        with self._lock.writing():
            self._graph, self._people, self._version, self._snapshot = graph, people, version, None
        self._sample = None


@dataclass(eq=False)
class _Build:
    """A thread that takes a sample and builds the graph."""

    sampled: Future[SampledTail | None] = field(default_factory=Future)
    whole: Future[None] = field(default_factory=Future)
    running: bool = True

    def fail(self, error: BaseException) -> None:
        for future in (self.sampled, self.whole):
            if not future.done():
                future.set_exception(error)


def _versions(connection: sa.Connection) -> tuple[int, int]:
    """The gallery's version, and the version from which changes are listed completely."""
    return fetch_all(connection, "SELECT version, complete_from FROM state")[0]
