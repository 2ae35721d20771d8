"""The gallery: who is enrolled. The only entrance to this folder. Every call blocks; threads may share a Gallery.

The database decides. An index finds the nearest faces fast, and the decision is made on their rows in the table, with
the distance of ``descriptors.distances``: a search and a posted list agree to the last bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Literal

import sqlalchemy as sa

from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import Tail
from face128.domain.model_card import ModelCard
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.domain.thresholds import NONE, Thresholds
from face128.errors import ConfigurationError, NotFound
from face128.gallery import statements
from face128.gallery.consistency import refuse_inconsistent
from face128.gallery.database import Database
from face128.gallery.enrolment import refuse_duplicates, store
from face128.gallery.erasing import Eraser, Erasure
from face128.gallery.gallery_spaces import GallerySpaces
from face128.gallery.one_to_one import NO_PERSON, Verification, verify
from face128.gallery.records import NO_RECORD, RECORD_COLUMNS, NewFace, Person, Record, check_id, check_text
from face128.gallery.searches import Searches
from face128.gallery.space_rows import companion_models
from face128.gallery.statements import count_faces
from face128.gallery.tables import faces, state
from face128.process_memory import OverwritingFreedMemory
from face128.settings import Settings


class Gallery:
    """Raises ConfigurationError for invalid settings, DatabaseUnavailable where the database cannot be reached."""

    def __init__(
        self,
        database_url: str,
        milvus_uri: str | None = None,
        template: Template = "nearest",
        decision_models: DecisionModels = "dlib",
        **options: bool,
    ) -> None:
        """``template`` is that of searches which name none. ``options``: those of Database."""
        self.database = Database(database_url, **options)
        self._template, self.decision_models = template, decision_models
        milvus = None
        if milvus_uri:
            try:
                from face128.gallery.milvus import MilvusIndexSync
            except ModuleNotFoundError:
                raise ConfigurationError("Milvus's client is not installed: pip install 'face128[milvus]'") from None
            milvus = MilvusIndexSync(milvus_uri, self.database)
        self._spaces = GallerySpaces(self.database, milvus, template, decision_models)
        self._searches = Searches(self.database, self._spaces, template)
        self.search, self.match = self._searches.search, self._searches.match
        self.recognise = self._searches.recognise
        self._eraser = Eraser(self.database, self.load)

    @classmethod
    def from_settings(cls, settings: Settings, **options: bool) -> Gallery:
        database_url, milvus_uri = settings.database_url, settings.milvus_uri
        return cls(
            database_url.get_secret_value() if database_url else f"sqlite:///{settings.gallery_file}",
            milvus_uri.get_secret_value() if milvus_uri else None,
            settings.template,
            settings.decision_models,
            **options,
        )

    def close(self) -> None:
        self._eraser.stop()
        self.database.close()

    def follow_erasures(self) -> None:
        """Forget, in a thread until ``close``, what is erased elsewhere, and what was pending at the last end."""
        self._eraser.start()

    def load(self) -> None:
        """Bring the index up to date, so that the next search does not wait for it."""
        self._spaces.load()

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
    ) -> list[Record]:
        """Store a person's faces, all or none, and return their records. A stored face is not stored again: it gets
        the companions that it lacks.

        With ``replace``, the person's other faces are erased. ``is_number``: whether regNo is a number; None: as it is
        stored. Raises Duplicate if a face is within the model's threshold of another person's, and
        InconsistentPerson if one is far from the person's others, unless ``force``;
        TooManyImages if the person would have more than ``max_faces``.
        """
        with OverwritingFreedMemory(), self.database.writing() as connection:
            if not force:
                refuse_duplicates(connection, person, new, card, self._searches.nearest_faces)
                refuse_inconsistent(connection, person, new, card, self.decision_models, replace=replace)
            stored = store(connection, person, new, card, replace=replace, max_faces=max_faces, is_number=is_number)
        if replace:
            self._eraser.finish()
        else:
            self.load()
        return stored

    def erase_user(self, user_id: str) -> Erasure:
        """Erase all faces of a person. Raises NotFound."""
        check_text("user_id", user_id)
        condition = partial(statements.of_user, user_id=user_id)
        return self._eraser.erase(condition, NO_PERSON)

    def erase_record(self, record_id: str) -> Erasure:
        """Erase one face. Raises NotFound."""
        check_id(record_id)
        return self._eraser.erase(lambda _: faces.c.record_id == record_id, NO_RECORD)

    def verify(self, user_id: str, probe: Probe, thresholds: Thresholds = NONE) -> Verification:
        """Compare the probe with the faces of one person; nobody else's are read. Raises as ``one_to_one.verify``."""
        check_text("user_id", user_id)
        with self.database.reading() as connection:
            return verify(connection, user_id, probe.spaces(self.decision_models), thresholds, self._template)

    def page(self, skip: int, limit: int) -> tuple[int, list[Record]]:
        """The number of all faces, and some of them in the order of creation."""
        with self.database.reading() as connection:
            wanted = sa.select(*RECORD_COLUMNS).order_by(faces.c.id).offset(skip).limit(limit)
            records = [Record.from_row(row) for row in connection.execute(wanted)]
            others = companion_models(connection, [record.face_id for record in records])
            records = [dataclasses.replace(record, companions=others.get(record.face_id, ())) for record in records]
            return count_faces(connection), records

    def record(self, record_id: str) -> tuple[int, Record]:
        """The number of older faces, and the face. Raises NotFound."""
        check_id(record_id)
        with self.database.reading() as connection:
            row = connection.execute(sa.select(*RECORD_COLUMNS).where(faces.c.record_id == record_id)).one_or_none()
            if row is None:
                raise NotFound(NO_RECORD)
            # "+ 0" keeps SQLite from reading the table itself, instead of a small index that has all ids.
            return count_faces(connection, faces.c.id + 0 < row.id), Record.from_row(row)

    def rebuild(self) -> int:
        """Rebuild the index from the table, here and in every other worker process; return its number of faces."""
        with self.database.writing() as connection:
            connection.execute(sa.update(state).values(complete_from=statements.next_version(connection)))
            count = count_faces(connection)
        self.load()
        return count

    def sizes(self) -> dict[str, int]:
        """The number of photos in the index of each model that is in use."""
        return self._spaces.sizes()
