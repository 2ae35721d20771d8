"""Erases whose time is over: by the person's own ``expires_at``, and by the operator's rules (retention.py).

Every running service looks by itself; the database has one writer, so each person is erased once, with an entry of the
trail in the same transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Literal

import sqlalchemy as sa

from face128 import caller
from face128.gallery.background import BackgroundJob
from face128.gallery.erasing import WIPE_TIMEOUT_S, Eraser
from face128.gallery.people import thumbnails
from face128.gallery.people.people import forget_gone
from face128.gallery.people.retention import Retention
from face128.gallery.rows.all_collections import any_expired, as_collection, each_collection, strays
from face128.gallery.rows.records import Person, Record
from face128.gallery.rows.statements import erase_faces, read_without_descriptors
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import collection_of, faces, in_collection, people
from face128.gallery.trail import decisions
from face128.gallery.trail.chain import record

log = logging.getLogger("face128")

INTERVAL_S = 60.0  # between two looks at expires_at, which has an index
RULES_INTERVAL_S = 3600.0  # between two looks at the days, which read all rows
BATCH_PEOPLE = 100  # in one transaction: other changes wait for it

Reason = Literal["expired", "retention", "inactive"]


@dataclass(frozen=True)
class Due:
    stored_id: str
    """The user_id as it is stored."""
    person: Person | None
    """None if all rows of an encrypted gallery are damaged."""
    collection: str
    faces: int
    reason: Reason


@dataclass(frozen=True)
class Purged:
    people: int
    faces: int
    pending: bool
    """As in Erasure."""


class Purger:
    """Thread-safe. For all collections of the database."""

    def __init__(self, database: Database, eraser: Eraser, retention: Retention) -> None:
        self._database, self._eraser, self._retention = database, eraser, retention
        self._next_rules = time.monotonic()
        self._unwiped = False
        self._thread = BackgroundJob("the purge", self._round, INTERVAL_S)

    def due(self, limit: int | None = None) -> list[Due]:
        """Who would be erased now."""
        with self._database.reading() as connection:
            return list(_due_everywhere(connection, self._retention, limit))

    def run(self) -> Purged:
        """Erase all whose time is over, and delete the decisions and pictures whose time is over."""
        self._delete_kept()
        return self._erase_due()

    def _delete_kept(self) -> None:
        now = self._retention.now()
        decisions.purge(self._database, self._retention.decision_days, now.replace(tzinfo=UTC))
        self._unwiped |= bool(thumbnails.purge(self._database, now))
        if self._unwiped:  # SQLite's log has the deleted pictures
            self._unwiped = not self._database.wipe_log(WIPE_TIMEOUT_S)

    def _erase_due(self) -> Purged:
        """Erase some people in each transaction.

        They are looked for without the writer's lock, which takes as long as the gallery is large.
        """
        total = Purged(0, 0, pending=False)
        waiting = self.due()
        for start in range(0, len(waiting), BATCH_PEOPLE):
            erased_people: list[Due] = []

            def erase(
                connection: sa.Connection,
                some: list[Due] = waiting[start : start + BATCH_PEOPLE],
                found: list[Due] = erased_people,
            ) -> list[Record]:
                found.clear()  # the transaction may be begun anew
                return self._erase(connection, some, found)

            erasure = self._eraser.perform(erase)
            total = Purged(
                total.people + len(erased_people),
                total.faces + sum(one.faces for one in erased_people),
                total.pending or erasure.pending,
            )
        return total

    def start(self) -> None:
        """Purge now, and then again and again, in a thread until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    def _erase(self, connection: sa.Connection, waiting: list[Due], found: list[Due]) -> list[Record]:
        """Erase those who wait, and whose time is still over."""
        erased: list[Record] = []
        for collection in each_collection(connection):
            ids = [one.stored_id for one in waiting if one.collection == collection]
            due = list(_due(connection, self._retention, among=ids)) if ids else []
            of_collection: list[Record] = []
            for one in due:
                of_collection += erase_faces(connection, faces.c.user_id == one.stored_id)
                if one.person is not None:
                    decisions.forget(connection, [one.person.user_id])
                    record(connection, "purge", person=one.person.user_id, details={"reason": one.reason})
            if due:
                count = sum(one.faces for one in due)
                record(connection, "purge", details={"people": len(due), "faces": count})
            found += due
            erased += of_collection
        return erased

    def _round(self) -> None:
        caller.caller.set(caller.PURGE)
        by_rules = time.monotonic() >= self._next_rules
        self._look(by_rules)
        if by_rules:
            self._next_rules = time.monotonic() + RULES_INTERVAL_S

    def _look(self, by_rules: bool) -> None:
        """Look without the writer's lock, and then purge if there is anybody."""
        self._delete_kept()
        with self._database.reading() as connection:
            wanted = any_expired(connection, self._retention.now())
            wanted = wanted or (by_rules and any(_due_everywhere(connection, self._retention, 1)))
        if wanted and (done := self._erase_due()).people:
            log.info("the purge has erased %s people, whose time was over, with %s faces", done.people, done.faces)
        if by_rules:
            with self._database.reading() as connection:
                found = strays(connection)
            if found:
                with self._database.writing() as connection:
                    for collection, user_id in strays(connection):
                        with as_collection(connection, collection):
                            forget_gone(connection, [user_id])


def _due_everywhere(connection: sa.Connection, retention: Retention, limit: int | None) -> Iterator[Due]:
    count = 0
    for _ in each_collection(connection):
        for one in _due(connection, retention, None if limit is None else limit - count):
            count += 1
            yield one


def _due(
    connection: sa.Connection, retention: Retention, limit: int | None = None, among: Collection[str] | None = None
) -> Iterator[Due]:
    """Whose time is over in the connection's collection, at most so many; ``among`` these ids as they are stored."""
    count = 0
    for stored_id, reason in _candidates(connection, retention, among).items():
        if limit is not None and count >= limit:
            return
        own = (faces.c.user_id == stored_id) & in_collection(connection)
        ids = connection.scalars(sa.select(faces.c.id).where(own)).all()
        if ids:  # none, where an older version has erased them
            count += 1
            readable = read_without_descriptors(connection, own)
            person = readable[-1].person if readable else None
            yield Due(stored_id, person, collection_of(connection), len(ids), reason)


def _candidates(connection: sa.Connection, retention: Retention, among: Collection[str] | None) -> dict[str, Reason]:
    """Why the time of people is over, by their ids as they are stored."""
    now = retention.now()
    of_collection = people.c.collection == collection_of(connection)
    newest = sa.func.max(faces.c.created_at)
    own = in_collection(connection, whole=among is None)
    if among is not None:
        own &= faces.c.user_id.in_(among)
        of_collection &= people.c.user_id.in_(among)
    by_person = sa.select(faces.c.user_id).where(own).group_by(faces.c.user_id)
    found: dict[str, Reason] = {}
    if retention.inactive_days:
        since = now - timedelta(days=retention.inactive_days)
        seen = sa.select(people.c.user_id).where(of_collection, people.c.last_seen >= since.date())
        unseen = by_person.where(faces.c.user_id.not_in(seen)).having(newest <= since)
        found |= dict.fromkeys(connection.scalars(unseen), "inactive")
    if retention.days:
        old = by_person.having(newest <= now - timedelta(days=retention.days))
        found |= dict.fromkeys(connection.scalars(old), "retention")
    expired = sa.select(people.c.user_id).where(of_collection, people.c.expires_at <= now)
    return found | dict.fromkeys(connection.scalars(expired), "expired")
