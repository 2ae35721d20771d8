"""The gallery: who is enrolled. The only entrance to this folder. Every call blocks; threads may share a Gallery.

The database decides. An index finds the nearest faces fast, and the decision is made on their rows in the table, with
the distance of ``descriptors.distances``: a search and a posted list agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.model_card import ModelCard, find_card
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
from face128.gallery.database import Database
from face128.gallery.erasing import Eraser, Erasure
from face128.gallery.exact_search import FIRST_CANDIDATES, Probe, nearest_faces
from face128.gallery.index_sync import FaissIndexSync, comparable_models
from face128.gallery.records import NO_RECORD, RECORD_COLUMNS, NewFace, Person, Record, SearchHit, check_id, check_text
from face128.gallery.statements import count_faces
from face128.gallery.tables import faces, state
from face128.matching.conformal import ConformalScore
from face128.matching.decision import Candidate, Decision
from face128.process_memory import OverwritingFreedMemory
from face128.settings import Settings

if TYPE_CHECKING:
    from face128.gallery.milvus import MilvusIndexSync

MAX_SNAPSHOT_ATTEMPTS = 100  # transactions in which one search may find that the cohort is at a later version


class Gallery:
    """Raises ConfigurationError for invalid settings, DatabaseUnavailable where the database cannot be reached."""

    def __init__(self, database_url: str, milvus_uri: str | None = None, **options: bool) -> None:
        """``options``: those of Database."""
        self.database = Database(database_url, **options)
        self._index: FaissIndexSync | MilvusIndexSync = FaissIndexSync()
        if milvus_uri:
            try:
                from face128.gallery.milvus import MilvusIndexSync
            except ModuleNotFoundError:
                raise ConfigurationError("Milvus's client is not installed: pip install 'face128[milvus]'") from None
            self._index = MilvusIndexSync(milvus_uri, self.database)
        self._cohorts: dict[frozenset[str], CohortFollower] = {}  # by their comparable models
        self._eraser = Eraser(self.database, self.load)

    @classmethod
    def from_settings(cls, settings: Settings, **options: bool) -> Gallery:
        database_url, milvus_uri = settings.database_url, settings.milvus_uri
        return cls(
            database_url.get_secret_value() if database_url else f"sqlite:///{settings.gallery_file}",
            milvus_uri.get_secret_value() if milvus_uri else None,
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
            for cohort in tuple(self._cohorts.values()):
                cohort.catch_up(connection)

    def build_cohorts(self, timeout_s: float) -> bool:
        """Start to build what the cohort rule needs: minutes for 100,000 faces. Returns whether it is ready in time."""
        with self.database.reading() as connection:
            models = statements.stored_models(connection)
        return all(self._cohort(card).build(timeout_s) for card in map(find_card, models) if card)

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
        stored. Raises Duplicate if a face is within the model's threshold of another person's, unless ``force``;
        TooManyImages if the person would have more than ``max_faces``.
        """
        with OverwritingFreedMemory(), self.database.writing() as connection:
            self._index.catch_up(connection)
            if not force:
                for position, face in enumerate(new):
                    self._refuse_duplicate(connection, person, face, position, card)
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
        return self._eraser.erase(condition, "There is nobody enrolled like this.")

    def erase_record(self, record_id: str) -> Erasure:
        """Erase one face. Raises NotFound."""
        check_id(record_id)
        return self._eraser.erase(lambda _: faces.c.record_id == record_id, NO_RECORD)

    def search(self, probe: Probe, card: ModelCard, k: int) -> list[SearchHit]:
        """The ``k`` nearest of all comparable faces, nearest first; of equal distances, the older first."""
        return self.recognise(probe, card, k)[1]

    @stage("search")
    def match(
        self,
        probe: Probe,
        card: ModelCard,
        threshold: float | None = None,
        rule: Rule = THRESHOLD,
        *,
        explain: bool = False,
    ) -> Decision:
        """Decide whose face the probe is. The runner-up is the nearest face of another person.

        ``explain`` also computes the conformal score by the threshold rule, and the exact ``stranger_risk`` by the
        cohort rule: without it, that of a refused probe may be lower than the true one. By the cohort rule, raises
        TooFewMembers, TooLarge, and NotReady while the cohort is being built.
        """
        with self._candidates(probe, card, rule, explain=explain) as (hits, score):
            best = next(hits, None)
            second = best and next((hit for hit in hits if not hit.record.person.same_as(best.record.person)), None)
        max_distance = rule.max_distance(card, threshold)
        return Decision(_candidate(best), _candidate(second), max_distance, card.name, rule, score)

    @stage("search")
    def recognise(
        self, probe: Probe, card: ModelCard, k: int, threshold: float | None = None, rule: Rule = THRESHOLD
    ) -> tuple[bool, list[SearchHit]]:
        """Whether the nearest face matches the probe, and the ``k`` nearest faces. Raises as ``match`` does."""
        # One candidate more shows that the k-th is certain.
        with self._candidates(probe, card, rule, k + 1) as (hits, score):
            found = list(islice(hits, k))
        best = _candidate(found[0]) if found else None
        return Decision(best, None, rule.max_distance(card, threshold), card.name, rule, score).matched, found

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
        self, probe: Probe, card: ModelCard, rule: Rule, first: int = FIRST_CANDIDATES, *, explain: bool = False
    ) -> Iterator[tuple[Iterator[SearchHit], ConformalScore | None]]:
        """The faces, nearest first, and the probe's conformal score if the rule or ``explain`` needs it."""
        for _ in range(MAX_SNAPSHOT_ATTEMPTS):
            with self.database.reading() as connection:
                self._index.catch_up(connection)
                if rule.name == "threshold" and not explain:
                    yield nearest_faces(connection, self._index.search, probe, card, first), None
                    return
                try:
                    # Another service may change Milvus's collections at any moment: they are at no certain version.
                    index = self._index if isinstance(self._index, FaissIndexSync) and not explain else None
                    scored = self._cohort(card).score(connection, probe.astype(np.float64), rule, index)
                except (NotReady, TooLarge) as error:
                    if rule.name == "cohort" or isinstance(error, DatabaseUnavailable):
                        raise
                    explain = False  # the threshold rule decides without the score
                    continue
                if scored is not None:
                    yield nearest_faces(connection, scored.search, probe, card, first), scored.conformal_score
                    return
        raise NotReady("The gallery changes too fast for the cohort rule. Try again soon.")

    def _cohort(self, card: ModelCard) -> CohortFollower:
        return self._cohorts.setdefault(comparable_models(card), CohortFollower(self.database, card))

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


def _candidate(hit: SearchHit | None) -> Candidate | None:
    return None if hit is None else Candidate(hit.record.person.reg_no, hit.record.person.name, hit.distance)
