"""The gallery: who is enrolled. The only entrance to this folder. Every call blocks; threads may share a Gallery.

The database decides. An index finds the nearest faces fast, and the decision is made on their rows in the table, with
the distance of ``descriptors.distances``: a search and a posted list agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.model_card import ModelCard, find_card
from face128.domain.template import Template
from face128.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    Duplicate,
    NotFound,
    NotReady,
    TooLarge,
    TooManyImages,
)
from face128.events import stage
from face128.gallery import statements
from face128.gallery.cohort_follower import CohortFollower
from face128.gallery.consistency import refuse_inconsistent
from face128.gallery.database import Database
from face128.gallery.erasing import Eraser, Erasure
from face128.gallery.exact_search import FIRST_CANDIDATES, Probe, nearest_faces, nearest_templates
from face128.gallery.index_sync import FaissIndexSync, Search, comparable_models
from face128.gallery.one_to_one import NO_PERSON, Verification, verify
from face128.gallery.records import NO_RECORD, RECORD_COLUMNS, NewFace, Person, Record, SearchHit, check_id, check_text
from face128.gallery.statements import count_faces
from face128.gallery.tables import faces, state
from face128.gallery.template_sync import TemplateSync
from face128.matching.conformal import CohortScore
from face128.matching.decision import Candidate, Decision
from face128.process_memory import OverwritingFreedMemory
from face128.settings import Settings

if TYPE_CHECKING:
    from face128.gallery.milvus import MilvusIndexSync

MAX_SNAPSHOT_ATTEMPTS = 100  # transactions in which one search may find that the cohort is at a later version


class Gallery:
    """Raises ConfigurationError for invalid settings, DatabaseUnavailable where the database cannot be reached."""

    def __init__(
        self, database_url: str, milvus_uri: str | None = None, template: Template = "nearest", **options: bool
    ) -> None:
        """``template`` is that of searches which name none. ``options``: those of Database."""
        self.database = Database(database_url, **options)
        self._template = template
        self._index: FaissIndexSync | MilvusIndexSync = FaissIndexSync()
        if milvus_uri:
            try:
                from face128.gallery.milvus import MilvusIndexSync
            except ModuleNotFoundError:
                raise ConfigurationError("Milvus's client is not installed: pip install 'face128[milvus]'") from None
            self._index = MilvusIndexSync(milvus_uri, self.database)
        face_index = self._index if isinstance(self._index, FaissIndexSync) else None
        self._templates = TemplateSync(self._index.search, face_index)
        self._cohorts: dict[tuple[frozenset[str], Template], CohortFollower] = {}  # by their comparable models
        self._eraser = Eraser(self.database, self.load)

    @classmethod
    def from_settings(cls, settings: Settings, **options: bool) -> Gallery:
        database_url, milvus_uri = settings.database_url, settings.milvus_uri
        return cls(
            database_url.get_secret_value() if database_url else f"sqlite:///{settings.gallery_file}",
            milvus_uri.get_secret_value() if milvus_uri else None,
            settings.template,
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
        with self.database.reading() as connection:
            self._index.catch_up(connection)
            if self._template == "mean" or self._templates.in_use:
                self._templates.catch_up(connection)
            for cohort in tuple(self._cohorts.values()):
                cohort.catch_up(connection)

    def build_cohorts(self, timeout_s: float) -> bool:
        """Start to build what the cohort rule needs: minutes for 100,000 faces. Returns whether it is ready in time."""
        with self.database.reading() as connection:
            models = statements.stored_models(connection)
        return all(self._cohort(card, self._template).build(timeout_s) for card in map(find_card, models) if card)

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
        """Store a person's faces, all or none, and return their records. A stored face is not stored again.

        With ``replace``, the person's other faces are erased. ``is_number``: whether regNo is a number; None: as it is
        stored. Raises Duplicate if a face is within the model's threshold of another person's, and
        InconsistentPerson if one is far from the person's others, unless ``force``;
        TooManyImages if the person would have more than ``max_faces``.
        """
        with OverwritingFreedMemory(), self.database.writing() as connection:
            self._index.catch_up(connection)
            if not force:
                for position, face in enumerate(new):
                    self._refuse_duplicate(connection, person, face, position, card)
                refuse_inconsistent(connection, person, new, card, replace=replace)
            person = statements.resolve_person(connection, person, is_number)
            of_person = faces.c.user_id == person.user_id
            if replace:
                statements.erase_faces(connection, of_person)
            stored = statements.add_faces(connection, person, new, card)
            if max_faces is not None and count_faces(connection, of_person) > max_faces:
                raise TooManyImages(
                    f"A person has at most {max_faces} faces. To replace the stored ones: replace=true."
                )
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

    def search(self, probe: Probe, card: ModelCard, k: int) -> list[SearchHit]:
        """The ``k`` nearest of all comparable faces, nearest first; of equal distances, the older first."""
        with self.database.reading() as connection:
            self._index.catch_up(connection)
            # One candidate more shows that the k-th is certain.
            return list(islice(nearest_faces(connection, self._index.search, probe, card, k + 1), k))

    @stage("search")
    def match(
        self,
        probe: Probe,
        card: ModelCard,
        threshold: float | None = None,
        rule: Rule = THRESHOLD,
        *,
        template: Template | None = None,
        explain: bool = False,
    ) -> Decision:
        """Decide whose face the probe is. The runner-up is the nearest face of another person.

        ``explain`` also computes the cohort score by the threshold rule, and ``stranger_risk`` in full by the cohort
        rule: without it, that of a refused probe may be lower than the true one. By the cohort rule, raises
        TooFewMembers, TooLarge, and NotReady while the cohort is being built.
        """
        with self._candidates(probe, card, rule, template, explain=explain) as (hits, score):
            best = next(hits, None)
            second = best and _next_person(best, hits)
        return Decision.of(_candidate(best), _candidate(second), card, rule, threshold, score)

    @stage("search")
    def recognise(
        self,
        probe: Probe,
        card: ModelCard,
        k: int,
        threshold: float | None = None,
        rule: Rule = THRESHOLD,
        *,
        explain: bool = False,
    ) -> tuple[Decision, SearchHit | None, list[SearchHit]]:
        """As ``match``, with the person's face that is nearest to the probe, and the ``k`` nearest faces of anybody.

        By the template "mean", the first has the person's distance. The runner-up is only looked for if it is needed.
        """
        with self._candidates(probe, card, rule, None, max(k, 1) + 1, explain=explain) as (hits, score):
            found = list(islice(hits, max(k, 1) if self._template == "nearest" else 1))
            best = found[0] if found else None
            second = _next_person(best, chain(found, hits)) if best and (explain or rule.reviews) else None
        if self._template == "mean":
            found = self.search(probe, card, k) if k else []
        return Decision.of(_candidate(best), _candidate(second), card, rule, threshold, score), best, found[:k]

    def verify(self, user_id: str, probe: Probe, card: ModelCard, threshold: float | None = None) -> Verification:
        """Compare the probe with the faces of one person; nobody else's are read. Raises as ``one_to_one.verify``."""
        check_text("user_id", user_id)
        with self.database.reading() as connection:
            return verify(connection, user_id, probe, card, threshold, self._template)

    def page(self, skip: int, limit: int) -> tuple[int, list[Record]]:
        """The number of all faces, and some of them in the order of creation."""
        with self.database.reading() as connection:
            wanted = sa.select(*RECORD_COLUMNS).order_by(faces.c.id).offset(skip).limit(limit)
            records = [Record.from_row(row) for row in connection.execute(wanted)]
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
        self.load()
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        return self._index.sizes()

    @contextmanager
    def _candidates(
        self,
        probe: Probe,
        card: ModelCard,
        rule: Rule,
        template: Template | None,
        first: int = FIRST_CANDIDATES,
        *,
        explain: bool = False,
    ) -> Iterator[tuple[Iterator[SearchHit], CohortScore | None]]:
        """The faces or people, nearest first, and the probe's cohort score if the rule or ``explain`` needs it."""
        template = template or self._template

        def nearest(connection: sa.Connection, search: Search) -> Iterator[SearchHit]:
            if template == "nearest":
                return nearest_faces(connection, search, probe, card, first)
            return nearest_templates(connection, search, self._templates.faces_of, probe, card, first)

        for _ in range(MAX_SNAPSHOT_ATTEMPTS):
            with self.database.reading() as connection:
                self._index.catch_up(connection)
                searched: FaissIndexSync | MilvusIndexSync | TemplateSync = self._index
                if template == "mean":
                    searched = self._templates
                    searched.catch_up(connection)
                if rule.name == "threshold" and not explain:
                    yield nearest(connection, searched.search), None
                    return
                try:
                    # Another service may change Milvus's collections at any moment: they are at no certain version.
                    index = searched if isinstance(searched, FaissIndexSync | TemplateSync) and not explain else None
                    scored = self._cohort(card, template).score(connection, probe.astype(np.float64), rule, index)
                except (NotReady, TooLarge) as error:
                    if rule.name == "cohort" or isinstance(error, DatabaseUnavailable):
                        raise
                    explain = False  # the threshold rule decides without the score
                    continue
                if scored is not None:
                    yield nearest(connection, scored.search), scored.cohort_score
                    return
        raise NotReady("The gallery changes too fast for the cohort rule. Try again soon.")

    def _cohort(self, card: ModelCard, template: Template) -> CohortFollower:
        key = comparable_models(card), template
        return self._cohorts.setdefault(key, CohortFollower(self.database, card, template))

    def _refuse_duplicate(
        self, connection: sa.Connection, person: Person, face: NewFace, position: int, card: ModelCard
    ) -> None:
        for hit in nearest_faces(connection, self._index.search, face.descriptor, card):
            if hit.distance > card.threshold:
                return
            other = hit.record.person
            if not person.same_as(other):
                sentence = f"This face is already enrolled as {other.name or other.user_id}. If it is not: force=true."
                context = {"user_id": other.user_id, "name": other.name, "distance": hit.distance, "index": position}
                raise Duplicate(sentence, **context)


def _next_person(best: SearchHit, hits: Iterable[SearchHit]) -> SearchHit | None:
    """The first hit of another person than the best one's."""
    return next((hit for hit in hits if not hit.record.person.same_as(best.record.person)), None)


def _candidate(hit: SearchHit | None) -> Candidate | None:
    return None if hit is None else Candidate(hit.record.person.reg_no, hit.record.person.name, hit.distance)
