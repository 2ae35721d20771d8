"""The gallery: who is enrolled. The only entrance to this folder. Every call blocks; threads may share a Gallery.

The database decides. An index finds the nearest faces fast, and the decision is made on their rows in the table, with
the distance of ``descriptors.distances``: a search and a posted list agree to the last bit.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from face128.domain.collection import DEFAULT_COLLECTION, check_collection
from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import THRESHOLD, Rule, Tail
from face128.domain.model_card import ModelCard
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.domain.terms import NO_CHANGES, TermChanges
from face128.domain.thresholds import NONE, Thresholds
from face128.errors import ConfigurationError, Duplicate
from face128.gallery.cohort.expected_fpir import FpirWatch
from face128.gallery.cohort.fpir_thread import FpirThread
from face128.gallery.cohort.what_if import WhatIf
from face128.gallery.details import details
from face128.gallery.enrolment.duplicates import Comparison
from face128.gallery.enrolment.enrolment import store
from face128.gallery.erasing import Eraser, Erasure
from face128.gallery.one_to_one import NO_PERSON, Verification, nearest_photos, verify
from face128.gallery.open_collections import OpenCollections
from face128.gallery.pages import Pages
from face128.gallery.people.purge import Purger
from face128.gallery.people.retention import KEPT_FOR_EVER, Retention
from face128.gallery.rows import statements
from face128.gallery.rows.all_collections import collection_sizes
from face128.gallery.rows.records import NO_RECORD, NewFace, Person, Record, check_id, check_text
from face128.gallery.rows.space_rows import read_all_vectors
from face128.gallery.rows.statements import count_faces
from face128.gallery.rows.stored_rows import stored_as
from face128.gallery.search.gallery_spaces import GallerySpaces
from face128.gallery.search.searches import Searches
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces, state
from face128.gallery.trail.accounts import Accounts
from face128.gallery.trail.chain import record
from face128.process_memory import OverwritingFreedMemory
from face128.settings import MilvusIndexType, Settings

if TYPE_CHECKING:
    from face128.gallery.milvus.sync import Milvus


MAX_OPEN_COLLECTIONS = 100


class Gallery:
    """Raises ConfigurationError for invalid settings, DatabaseUnavailable where the database cannot be reached."""

    def __init__(
        self,
        database_url: str,
        milvus_uri: str | None = None,
        template: Template = "nearest",
        decision_models: DecisionModels = "dlib",
        retention: Retention = KEPT_FOR_EVER,
        max_open_collections: int = MAX_OPEN_COLLECTIONS,
        trail: bool | None = None,
        rule: Rule = THRESHOLD,
        milvus_index: MilvusIndexType = "FLAT",
        **options: Any,
    ) -> None:
        """``template`` is that of searches which name none. ``trail``: whether deeds are recorded; None: as the gallery
        has it. ``rule``: that of the service's searches. ``options``: those of Database.

        It is the gallery of the default collection.
        """
        self.retention = retention
        self._template, self.decision_models = template, decision_models
        self._rule = rule
        self._default = self
        self._closed, self._comparing = threading.Event(), threading.Lock()
        self._others = OpenCollections(self._open_collection, max_open_collections)
        database = Database(database_url, **options)
        self._accounts = Accounts(database, retention.decision_days)
        hurried = options.get("hurried", False)
        self._milvus = _open_milvus(milvus_uri, database, milvus_index, hurried=hurried) if milvus_uri else None
        self._set_up(database)
        self.purger = Purger(self.database, self._eraser, retention)
        self._fpir_thread = FpirThread(lambda: [one.strangers for one in (self, *self._others.all())])
        if trail is not None:
            try:
                self.database.switch_trail(trail)
            except BaseException:
                self.close()
                raise

    def _set_up(self, database: Database) -> None:
        """Make what each collection has for itself."""
        self.database = database
        template = self._template
        milvus = self._milvus.of_collection(database.collection) if self._milvus else None
        self._spaces = GallerySpaces(self.database, milvus, template, self.decision_models)
        self._searches = Searches(self.database, self._spaces, template)
        self.search, self.match = self._searches.search, self._searches.match
        self.recognise, self.people = self._searches.recognise, self._searches.people
        self.cohort = self._searches.cohort
        pages = Pages(self.database)
        self.page, self.walk, self.record = pages.page, pages.walk, pages.record
        self.strangers = FpirWatch(self.database, pages.ids, self._searches.nearest_people, self._rule)
        self.what_if = WhatIf(self.database, pages.ids, self._spaces, template, self._comparing, self._closed)
        self._eraser = Eraser(self.database, self.load, self._follow_others)
        self.accounts = self._accounts.of(self.database)

    @classmethod
    def from_settings(cls, settings: Settings, **options: bool) -> Gallery:
        database_url, milvus_uri = settings.database_url, settings.milvus_uri
        vault = None
        if settings.encrypted:
            try:
                from face128.gallery.encryption.open_vault import vault_from_settings
            except ModuleNotFoundError:
                raise ConfigurationError("Encryption needs a package: pip install 'face128[encryption]'") from None
            vault = vault_from_settings(settings, hurried=options.get("hurried", False))
        return cls(
            database_url.get_secret_value() if database_url else f"sqlite:///{settings.gallery_file}",
            milvus_uri.get_secret_value() if milvus_uri else None,
            settings.template,
            settings.decision_models,
            Retention.from_settings(settings),
            settings.open_collections,
            settings.trail,
            settings.rule,
            milvus_index=settings.milvus_index,
            vault=vault,
            **options,
        )

    def of_collection(self, name: str) -> Gallery:
        """The gallery of another collection, or of the default one, on the same database.

        It is kept for the next call, as long as not too many others are used. Only the default one is closed.
        Raises InvalidRequest for a name that is none.
        """
        return self._default if name == DEFAULT_COLLECTION else self._others.get(check_collection(name))

    def forget(self) -> None:
        """Give up the indexes: the next search reads them again."""
        with OverwritingFreedMemory():
            self._spaces.forget()

    def close(self) -> None:
        self._closed.set()
        self._fpir_thread.stop()
        if self._milvus:
            self._milvus.watch.stop()
        self.purger.stop()
        self._eraser.stop()
        self._accounts.close()
        self.database.close()

    def follow_erasures(self) -> None:
        """Forget, in a thread until ``close``, what is erased elsewhere, and what was pending at the last end.

        Another one erases whose time is over.
        """
        self._eraser.start()
        self.purger.start()
        self._fpir_thread.start()
        if self._milvus:
            self._milvus.watch.start()

    def check(self) -> None:
        """Raise the DatabaseUnavailable that a request would meet now, also if none has met it yet."""
        self.database.check()
        if self._milvus:
            self._milvus.server.ping()

    def load(self) -> None:
        """Bring the index up to date, so that the next search does not wait for it."""
        self._spaces.load()

    def load_shared(self) -> None:
        """As ``load``, where Milvus is the index; one in this process is read when a search needs it."""
        if self._milvus:
            self.load()

    def _open_collection(self, name: str) -> Gallery:
        other = copy(self)
        other._set_up(self.database.of_collection(name))
        return other

    def _follow_others(self) -> None:
        for other in self._others.all():
            other._spaces.follow()

    def build_cohorts(self, timeout_s: float, tail: Tail | Literal["auto"] = "exact") -> bool:
        """Start to build what the cohort rule needs. Returns whether it is ready for this tail in time.

        For another tail than "exact" a sample is enough, where all would take long.
        """
        return self._spaces.build_cohorts(timeout_s, tail)

    def enrol(
        self,
        person: Person,
        new: Sequence[NewFace],
        card: ModelCard,
        *,
        force: bool = False,
        replace: bool = False,
        max_faces: int | None = None,
        is_number: bool | None = None,
        terms: TermChanges = NO_CHANGES,
    ) -> list[Record]:
        """Store a person's faces, all or none, and return their records. A stored face is not stored again: it gets
        the companions that it lacks.

        With ``replace``, the person's other faces are erased. ``is_number``: whether regNo is a number; None: as it is
        stored. ``terms`` are the person's from now on. Raises ConsentRequired if FACE128_REQUIRE_CONSENT is set and no
        consent known; Duplicate if a face is within the model's threshold of another person's, and
        InconsistentPerson if one is far from the person's others, unless ``force``;
        TooManyImages if the person would have more than ``max_faces``.
        """

        def change(connection: sa.Connection) -> list[Record]:
            stored = store(
                connection,
                person,
                new,
                card,
                replace=replace,
                max_faces=max_faces,
                is_number=is_number,
                terms=terms,
                retention=self.retention,
            )
            details = {"faces": len(new), "forced": force}
            record(connection, "replace" if replace else "enrol", person=stored[0].person.user_id, details=details)
            return stored

        nearest, order = self._searches.nearest_faces, self.decision_models
        with OverwritingFreedMemory(), self.accounts.noting_refusal(person):
            if force:
                with self.database.writing() as connection:
                    stored = change(connection)
            else:
                stored = Comparison(person, new, card, order, nearest, replace).run(self.database, change)
        if replace:
            self._eraser.finish()
        elif self._milvus:  # without Milvus, the next search follows, or the eraser's thread
            self.load()
        return stored

    def check_faces(self, person: Person | None, new: Sequence[NewFace], card: ModelCard) -> None:
        """Raise the Duplicate or InconsistentPerson that ``enrol`` would raise of these faces; nothing is stored.

        None is a person whose number is not known yet. The trail says who was named.
        """
        nearest, order = self._searches.nearest_faces, self.decision_models
        whose = person or Person(None, str(uuid.uuid4()))
        comparison = Comparison(whose, new, card, order, nearest, replace=False)
        try:
            with OverwritingFreedMemory():
                comparison.look(self.database)
        except Duplicate as error:
            self.accounts.note("read", person=error.context["user_id"], result="duplicate")
            raise

    def erase_user(self, user_id: str) -> Erasure:
        """Erase all faces of a person. Raises NotFound."""
        check_text("user_id", user_id)
        condition = partial(statements.of_user, user_id=user_id)
        return self._eraser.erase(condition, NO_PERSON)

    def erase_by(self, deed: Callable[[sa.Connection], list[Record]]) -> Erasure:
        """As ``Eraser.perform``."""
        return self._eraser.perform(deed)

    def erase_record(self, record_id: str) -> Erasure:
        """Erase one face. Raises NotFound."""
        check_id(record_id)
        return self._eraser.erase(lambda connection: stored_as(connection, faces.c.record_id, record_id), NO_RECORD)

    def verify(self, user_id: str, probe: Probe, thresholds: Thresholds = NONE) -> Verification:
        """Compare the probe with the faces of one person; nobody else's are read. Raises as ``one_to_one.verify``."""
        check_text("user_id", user_id)
        with self.database.reading() as connection:
            return verify(connection, user_id, probe.spaces(self.decision_models), thresholds, self._template)

    def nearest_photos(self, user_id: str, other: str, thresholds: Thresholds = NONE) -> Verification | None:
        """How near the nearest two photos of two people are: see ``one_to_one.nearest_photos``."""
        with self.database.reading() as connection:
            return nearest_photos(connection, user_id, other, self.decision_models, thresholds)

    def examine(self) -> None:
        """Open every row, so that ``details`` knows which cannot be opened; nothing to do where none is sealed."""
        if self.database.vault is not None:
            for _ in self.walk(statements.BATCH_ROWS):
                pass
            with self.database.reading() as connection:
                for _ in read_all_vectors(connection):
                    pass

    def rebuild(self) -> int:
        """Rebuild the index from the table, here and in every other worker process; return its number of faces."""
        with self.database.writing() as connection:
            connection.execute(sa.update(state).values(complete_from=statements.next_version(connection)))
            count = count_faces(connection)
        self.load()
        if self._milvus:
            self._milvus.rebuild()
        return count

    def collections(self) -> dict[str, int]:
        """The number of faces in each collection that has any; only in its own, unless this is the default one."""
        with self.database.reading() as connection:
            if self.database.collection != DEFAULT_COLLECTION:
                return {self.database.collection: count_faces(connection)}
            return collection_sizes(connection)

    def details(self) -> dict[str, Any]:
        """What an operator is told: see ``details.details``."""
        return details(self)

    def milvus_state(self) -> dict[str, Any] | None:
        """For operators; None without Milvus."""
        return self._milvus.check.told() if self._milvus else None

    def sizes(self) -> dict[str, int]:
        """The number of photos in the index of each model that is in use."""
        return self._spaces.sizes()


def _open_milvus(uri: str, database: Database, index_type: MilvusIndexType, *, hurried: bool) -> Milvus:
    try:
        from face128.gallery.milvus.sync import Milvus
    except ModuleNotFoundError:
        raise ConfigurationError("Milvus's client is not installed: pip install 'face128[milvus]'") from None
    return Milvus(uri, database, index_type, hurried=hurried)
