"""What other thresholds and alphas would do in one collection: compared in the background when somebody asks.

A comparison (compared_members.py) takes a tenth of a second among a thousand members and some seconds among 100,000. It
is kept until the gallery has changed much; one that is quickly made, until there is any change.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.domain.template import Template
from face128.errors import Face128Error, NotReady
from face128.gallery.cohort.compared_members import ComparedMembers, Interrupted, compare_members
from face128.gallery.cohort.expected_fpir import GROWTH, MAX_AGE_S
from face128.gallery.rows.face_ids import FaceIds
from face128.gallery.rows.records import Person
from face128.gallery.rows.statements import read_without_descriptors
from face128.gallery.rows.stored_space import Models, StoredSpace
from face128.gallery.search.gallery_spaces import GallerySpaces
from face128.gallery.search.person_spaces import in_one_version
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces
from face128.logs import plain_traceback
from face128.process_memory import OverwritingFreedMemory

log = logging.getLogger("face128")

QUICK_S = 0.5
"""A comparison that takes no longer is made anew after any change. A longer one rests half of the time."""


@dataclass(frozen=True)
class Kept:
    """A comparison, and the gallery that it was made of."""

    members: ComparedMembers
    at: datetime
    """When it began: UTC, with its zone."""
    version: int
    faces: int
    """Of all models, then."""
    took_s: float


@dataclass(frozen=True)
class Asked:
    """What is known now."""

    kept: Kept | None
    """The last comparison; None if there was none."""
    current: bool
    """Whether nothing has changed since then."""
    running: Future[Kept] | None
    """One that is made now."""
    progress: float
    """Of the one that is made now, 0..1."""

    @property
    def may_be_quick(self) -> bool:
        """Whether it is worth a moment's wait."""
        return self.progress == 0 and (self.kept is None or self.kept.took_s <= QUICK_S)


@dataclass(frozen=True)
class NamedDoorway:
    """Two members who are near to each other."""

    person: Person
    other: Person
    distance: float


@dataclass(frozen=True)
class NamedHub:
    """A member who is the nearest to so many of those who have asked."""

    person: Person
    nearest_to: float


class _Space:
    """The comparisons of one space."""

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self.running: Future[Kept] | None = None
        self.progress = 0.0

    def is_old(self, version: int, faces: int) -> bool:
        if (kept := self.kept) is None:
            return True
        if kept.version == version:
            return False
        age_s = (datetime.now(UTC) - kept.at).total_seconds()
        return kept.took_s <= QUICK_S or age_s > MAX_AGE_S or abs(faces - kept.faces) > GROWTH * kept.faces


class WhatIf:
    """Thread-safe."""

    def __init__(
        self,
        database: Database,
        ids: FaceIds,
        spaces: GallerySpaces,
        template: Template,
        turn: threading.Lock,
        stopped: threading.Event,
    ) -> None:
        """One comparison is made at a time, of all that have the lock ``turn``; none after ``stopped``."""
        self._database, self._ids, self._gallery_spaces, self._template = database, ids, spaces, template
        self._turn, self._stopped = turn, stopped
        self._spaces: dict[Models, _Space] = {}
        self._lock = threading.Lock()

    def cards(self) -> list[ModelCard]:
        """What people can be compared in here, the preferred first."""
        return self._gallery_spaces.cards()

    def ask(self, card: ModelCard) -> Asked:
        """What is known of the space of this card; starts a comparison, if that is needed."""
        version, faces = in_one_version(self._database, self._size)
        space = StoredSpace.of(card)
        with self._lock:
            state = self._spaces.setdefault(space.models, _Space())
            if state.running is None and state.is_old(version, faces):
                state.running, state.progress = Future(), 0.0
                arguments = (space, state, state.running, version, faces)
                threading.Thread(target=self._compare, args=arguments, name="what if", daemon=True).start()
            current = state.kept is not None and state.kept.version == version
            return Asked(state.kept, current, state.running, state.progress)

    def named(self, members: ComparedMembers) -> tuple[list[NamedDoorway], list[NamedHub]]:
        """The doorways and hubs of those who are still enrolled."""
        ids = {face_id for one in members.doorways for face_id in (one.face_id, one.other_face_id)}
        ids |= {one.face_id for one in members.hubs}
        with self._database.reading() as connection:
            records = read_without_descriptors(connection, faces.c.id.in_(sorted(ids)))
        people = {record.face_id: record.person for record in records}
        doorways = [
            NamedDoorway(people[one.face_id], people[one.other_face_id], one.distance)
            for one in members.doorways
            if one.face_id in people and one.other_face_id in people
        ]
        hubs = [NamedHub(people[one.face_id], one.nearest_to) for one in members.hubs if one.face_id in people]
        return [one for one in doorways if not one.person.same_as(one.other)], hubs

    def _size(self, connection: sa.Connection) -> tuple[int, int]:
        version = self._ids.catch_up(connection)
        return version, self._ids.page(version, 0, 0)[0]

    def _compare(self, space: StoredSpace, state: _Space, running: Future[Kept], version: int, faces: int) -> None:
        def progress(share: float) -> None:
            state.progress = share

        try:
            with self._turn, OverwritingFreedMemory():
                at, start = datetime.now(UTC), time.monotonic()

                def pause(seconds: float) -> bool:
                    return self._stopped.wait(seconds if time.monotonic() > start + QUICK_S else 0)

                members = compare_members(self._database, space, self._template, pause, progress)
            kept = Kept(members, at, version, faces, time.monotonic() - start)
        except BaseException as error:
            with self._lock:
                state.running = None
            if isinstance(error, Interrupted):
                error = NotReady("The service ends.")
            elif not isinstance(error, Face128Error):  # those were logged where they were raised
                log.error("what if: %s", plain_traceback(error))
                error = NotReady("The members could not be compared with each other; the log says why.")
            running.set_exception(error)
            return
        with self._lock:
            state.kept, state.running = kept, None
        running.set_result(kept)
