"""The gallery's cohorts: one for each set of models that may be compared, at the version that a search sees.

The first is made in the background, when the rule is first asked for or at the start of a service whose rule it is;
from then on it follows the changes, as the index does. Each worker has its own, and all find the same distances.
"""

from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import Rule
from face128.domain.descriptors import Descriptors, Vector
from face128.domain.model_card import ModelCard
from face128.errors import Face128Error, NotReady, TooLarge
from face128.gallery.database import Database, plainly
from face128.gallery.exact_search import at_least
from face128.gallery.index import Distances, Ids
from face128.gallery.index_sync import BATCH, Proposer, Replica, comparable
from face128.gallery.neighbour_lists import Faces, NeighbourLists, Slots
from face128.gallery.rwlock import SharedLock
from face128.gallery.tables import erased, faces
from face128.logs import plain_traceback
from face128.matching.cohort import Cohort, Standing, check_promise

log = logging.getLogger("face128")

MOST = 200_000
"""Faces: 150 MB in each worker, and some minutes of a core to compare all of them once."""
AT_ONCE = 100_000_000
"""Pairs that a request may compare to follow the changes: 1,000 new faces among 100,000 take two seconds."""
NEAREST = 64
"""Faces that are asked for first: those of six people at least, unless somebody has many."""
PATIENCE = 3.0
"""Seconds that a request waits for a cohort that is being made: 20,000 faces are ready by then."""


@dataclass(frozen=True)
class View:
    """What one look told of a probe: how it stands, and who is near. Searches as a replica does."""

    standing: Standing | None
    _ids: Ids
    _near: Distances
    _further: Proposer | None = None
    """Who knows more than these; None where they are all."""

    def search(self, vector: Descriptors, card: ModelCard, k: int) -> tuple[Ids, Distances]:
        """The nearest ``k`` rows to the probe of this view, the nearest first; good to float32's precision."""
        if self._further and k > len(self._near):
            return self._further.search(vector, card, k)
        k = min(k, len(self._near))
        nearest = np.argpartition(self._near, k - 1)[:k] if k else np.empty(0, np.intp)
        nearest = nearest[np.isfinite(self._near[nearest])]
        nearest = nearest[np.argsort(self._near[nearest], kind="stable")]
        return self._ids[nearest], self._near[nearest]


@dataclass(frozen=True)
class _Members:
    """Those of one version of the gallery, in the rows of its lists."""

    cohort: Cohort
    ids: Ids
    version: int

    @cached_property
    def _ascending(self) -> tuple[Slots, Ids]:
        """The rows in the order of their ids."""
        order = np.argsort(self.ids)
        return order, self.ids[order]

    def rows(self, ids: Ids) -> Slots:
        """Where these are, all of which are there."""
        order, ascending = self._ascending
        return order[np.searchsorted(ascending, ids)]


class Cohorts:
    """Thread-safe. A connection stands for the gallery as its transaction sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: dict[frozenset[str], _Follower] = {}

    def prepare(self, card: ModelCard, patience: float) -> bool:
        """Begin the cohort that a probe of this model meets; whether it is there within so many seconds."""
        return self._follower(card).made(patience)

    def follow(self, connection: sa.Connection) -> None:
        """Bring the cohorts that are in use up to date."""
        for follower in tuple(self._followers.values()):
            follower.follow(connection)

    def view(
        self, connection: sa.Connection, probe: Vector, card: ModelCard, rule: Rule, replica: Replica | None
    ) -> View | None:
        """Look at a probe; None where the cohort is ahead of this transaction already.

        With ``replica`` only what the rule decides is wanted. It is asked who is nearest, which often settles that
        sooner than a look at everybody; ``stranger_risk`` is then as low as the rule wants it, or lower than it is.

        Raises NotReady while the cohort is being made, TooLarge where the gallery is beyond MOST, and TooFewMembers
        where the members cannot promise the alpha of the cohort rule.
        """
        follower = self._follower(card)
        while follower.made(PATIENCE):
            if follower.follow(connection):
                return follower.view(connection, probe, rule, replica)
        raise NotReady("The members are being compared with each other. Try again soon.")

    def _follower(self, card: ModelCard) -> _Follower:
        models = comparable(card)
        return self._followers.setdefault(models, _Follower(self._database, card, models))


class _Follower:
    """The lists of one set of models, and the version of the gallery that they stand at."""

    def __init__(self, database: Database, card: ModelCard, models: frozenset[str]) -> None:
        self._database, self._card, self._models = database, card, models
        self._lists: NeighbourLists | None = None
        self._members: _Members | None = None
        self._version = -1
        self._lock = SharedLock()
        self._making: Future[None] | None = None
        self._beginning = threading.Lock()

    def made(self, patience: float) -> bool:
        """Whether there are lists, of now or of before. Where there are none they are begun, and waited for.

        Raises the error that they ended with.
        """
        with self._beginning:
            if self._lists is not None:
                return True
            if self._making is None or self._making.done():
                self._making = Future()
                threading.Thread(target=self._make, args=(self._making,), daemon=True).start()
            making = self._making
        try:
            making.result(patience)
        except TimeoutError:
            return False
        return True

    def follow(self, connection: sa.Connection) -> bool:
        """Bring the lists to the transaction's version; False where there are none, or too much has changed."""
        version, complete_from = self._state(connection)
        if self._lists is not None and version <= self._version:
            return True
        with self._lock.writing():
            if self._lists is None or version <= self._version:
                return self._lists is not None
            gone = connection.scalars(sa.select(erased.c.face_id).where(erased.c.version > self._version)).all()
            changes = len(gone) + self._count(connection, faces.c.version > self._version)
            if self._version < complete_from or changes * (len(self._lists) + changes) > AT_ONCE:
                self._lists = self._members = None
                return False
            self._lists.change(np.array(gone, np.int64), self._read(connection, faces.c.version > self._version))
            self._version, self._members = version, None
        return True

    def view(self, connection: sa.Connection, probe: Vector, rule: Rule, replica: Replica | None) -> View | None:
        with self._lock.reading():
            if self._lists is None or self._version != self._state(connection)[0]:
                return None
            if self._members is None:
                self._members = _Members(self._lists.cohort(), self._lists.ids.copy(), self._version)
            members = self._members
            if rule.name == "cohort":
                check_promise(members.cohort.members, rule.alpha)
            near = self._near_view(self._lists, members, probe, rule.alpha, replica) if replica else None
            return near or self._whole_view(self._lists, members, probe)

    def _near_view(
        self, lists: NeighbourLists, members: _Members, probe: Vector, alpha: float, replica: Replica
    ) -> View | None:
        """Who is near, and the few who then decide; None where that takes more."""
        with np.errstate(over="ignore"):
            found = replica.search_at(members.version, probe.astype(np.float32), self._card, NEAREST)
        if found is None:
            return None
        ids, rough = found
        beyond = at_least(float(rough[-1]), float(np.linalg.norm(probe))) if len(ids) == NEAREST else math.inf
        cohort, rows = members.cohort, members.rows(ids)
        own = cohort.own_score(rows, lists.exact(rows, probe), beyond)
        if own is None:
            return None
        if (others := cohort.besides(own, beyond)) is not None:
            rows = np.union1d(rows, others)
            return View(_standing(cohort, rows, lists.exact(rows, probe)), ids, rough, replica)
        if (lowest := cohort.lowest(alpha)) is not None:
            risk = cohort.risk_at_least(own, lowest, lists.bounds(probe, lowest)[0])
            if risk > alpha:
                return View(Standing(own, risk), ids, rough, replica)
        return None

    def _whole_view(self, lists: NeighbourLists, members: _Members, probe: Vector) -> View:
        least, most = lists.bounds(probe)
        rows = members.cohort.involved(least, most)
        return View(_standing(members.cohort, rows, lists.exact(rows, probe)), members.ids, least)

    def _make(self, done: Future[None]) -> None:
        try:
            with self._database.reading() as connection:
                version, _ = self._state(connection)
                if (count := self._count(connection)) > MOST:
                    raise TooLarge(f"The cohort rule takes at most {MOST:,} faces; the gallery has {count:,}.")
                everybody = self._read(connection)
            lists = NeighbourLists(self._card.metric, self._card.dimension)
            lists.change(np.empty(0, np.int64), everybody)
            with self._lock.writing():
                self._lists, self._version, self._members = lists, version, None
            done.set_result(None)
        except BaseException as error:
            log.error("the gallery's cohort: %s", error if isinstance(error, Face128Error) else plain_traceback(error))
            done.set_exception(error)

    def _state(self, connection: sa.Connection) -> tuple[int, int]:
        version, complete_from = plainly(connection, "SELECT version, complete_from FROM state")[0]
        return version, complete_from

    def _count(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
        wanted = sa.select(sa.func.count()).select_from(faces).where(faces.c.model.in_(self._models), *which)
        return int(connection.execute(wanted).scalar_one())

    def _read(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Faces:
        columns = (faces.c.id, faces.c.embedding, faces.c.user_id, faces.c.name, faces.c.record_id)
        wanted = sa.select(*columns).where(faces.c.model.in_(self._models), *which)
        found: list[tuple[int, int, int, bool]] = []
        vectors = [np.empty((0, self._card.dimension), np.float32)]
        for batch in connection.execute(wanted.execution_options(stream_results=True)).partitions(BATCH):
            vectors.append(np.frombuffer(b"".join(row[1] for row in batch), "<f4").reshape(len(batch), -1))
            for number, _, user_id, name, record_id in batch:
                # Python's own hash has 64 bits and this process's secret: no two persons will meet.
                user = hash(("user", user_id))
                found.append((number, user, hash(("name", name)) if name else user, user_id == record_id))
        ids, users, names, by_name = zip(*found, strict=True) if found else ((), (), (), ())
        return Faces(
            np.array(ids, np.int64),
            np.concatenate(vectors),
            np.array(users, np.int64),
            np.array(names, np.int64),
            np.array(by_name, np.bool_),
        )


def _standing(cohort: Cohort, rows: Slots, exact: Vector) -> Standing | None:
    there = np.isfinite(exact)
    return cohort.standing(rows[there], exact[there])
