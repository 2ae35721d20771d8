"""The gallery: who is enrolled. This is the one door to it; every call blocks, and threads may share it.

SQL is the truth. An index finds the nearest rows fast, and the decision is made on the rows themselves, with the
distance that ``descriptors.distances`` defines: a search and a posted list agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import Block, Vector
from face128.domain.model_card import ModelCard, find_card
from face128.errors import ConfigurationError, DatabaseAway, Duplicate, NotFound, NotReady, TooLarge
from face128.events import stage
from face128.gallery import writes
from face128.gallery.cohort_follower import Cohorts
from face128.gallery.database import Database
from face128.gallery.exact_search import AT_ONCE, neighbours
from face128.gallery.index_sync import FaissReplica, Replica
from face128.gallery.records import COLUMNS, NO_RECORD, Found, NewFace, Person, Record, check_id, check_text
from face128.gallery.tables import faces, state
from face128.matching.cohort import Standing
from face128.matching.decision import Decision, Near
from face128.settings import Settings

__all__ = ["Found", "Gallery", "NewFace", "Person", "Record"]


class Gallery:
    """Raises ConfigurationError for settings that are wrong, DatabaseAway wherever the database cannot be reached."""

    def __init__(self, database_url: str, milvus_uri: str | None = None) -> None:
        self.database = Database(database_url)
        self._replica: Replica = self._milvus(milvus_uri) if milvus_uri else FaissReplica()
        self._cohorts = Cohorts(self.database)

    @classmethod
    def from_settings(cls, settings: Settings) -> Gallery:
        named, milvus = settings.database_url, settings.milvus_uri
        url = named.get_secret_value() if named else f"sqlite:///{settings.gallery_file}"
        return cls(url, milvus.get_secret_value() if milvus else None)

    def close(self) -> None:
        self.database.close()

    def load(self) -> None:
        """Bring the index up to date. Every search does so; done at the start, the first search need not wait."""
        with self.database.reading() as connection:
            self._replica.catch_up(connection)
            self._cohorts.follow(connection)

    def compare_members(self, patience: float) -> bool:
        """Begin what the cohort rule needs, minutes among 100,000 faces; whether it is done within so many seconds."""
        with self.database.reading() as connection:
            models = connection.scalars(sa.select(faces.c.model).distinct()).all()
        return all(self._cohorts.prepare(card, patience) for card in map(find_card, models) if card)

    def enrol(
        self,
        person: Person,
        new: Sequence[NewFace],
        card: ModelCard,
        *,
        force: bool = False,
        replace: bool = False,
        most: int | None = None,
    ) -> list[Record]:
        """Store a person's faces, all or none, and return them; a face that was sent before is not stored again.

        With ``replace`` the faces that the person had are erased. Raises Duplicate where a face is within the model's
        threshold of another person's, unless ``force``; TooManyImages where the person would have more than ``most``.
        """
        with self.database.writing() as connection:
            self._replica.catch_up(connection)
            if not force:
                for index, face in enumerate(new):
                    self._refuse_duplicate(connection, person, face, index, card)
            person = writes.settle(connection, person)
            if replace and self._has(connection, person):
                writes.erase(connection, faces.c.user_id == person.user_id)
            stored = writes.add(connection, person, new, card)
            if most is not None:
                writes.check_count(connection, person, most)
        self.load()
        if replace:
            self.database.wipe()
        return stored

    def erase_user(self, user_id: str) -> list[Record]:
        """Erase every face of a person, and return what there was. Raises NotFound."""
        check_text("user_id", user_id)
        return self._erase(faces.c.user_id == user_id)

    def erase_record(self, record_id: str) -> Record:
        """Erase one face, and return what it was. Raises NotFound."""
        check_id(record_id)
        return self._erase(faces.c.record_id == record_id)[0]

    @stage("search")
    def search(self, probe: Block | Vector, card: ModelCard, k: int) -> list[Found]:
        """The ``k`` nearest faces of all that may be compared, the nearest first; of equal distances the older."""
        with self.database.reading() as connection:
            self._replica.catch_up(connection)
            # One more, so that the last of them is known to be the next.
            return list(islice(neighbours(connection, self._replica, probe, card, k + 1), k))

    @stage("search")
    def match(
        self,
        probe: Block | Vector,
        card: ModelCard,
        threshold: float | None = None,
        rule: Rule = THRESHOLD,
        *,
        explain: bool = False,
    ) -> Decision:
        """Whose face it is. The runner-up is the nearest face of another person.

        ``explain`` wants to know how the probe stands, by the threshold rule as well; without it the ``stranger_risk``
        of one whom the cohort rule refuses may be lower than it is. By the cohort rule, raises TooFewMembers, TooLarge,
        and NotReady while the members are still being compared.
        """
        with self._nearest(probe, card, rule, explain=explain) as (found, standing):
            best = next(found, None)
            second = best and next((one for one in found if not one.record.person.same_as(best.record.person)), None)
        return Decision(_near(best), _near(second), rule.limit(card, threshold), card.name, rule, standing)

    @stage("search")
    def recognise(
        self, probe: Block | Vector, card: ModelCard, k: int, threshold: float | None = None, rule: Rule = THRESHOLD
    ) -> tuple[bool, list[Found]]:
        """Whether the nearest face is that of the probe, and the ``k`` nearest. Raises as ``match`` does."""
        with self._nearest(probe, card, rule, k + 1) as (faces_, standing):
            found = list(islice(faces_, k))
        best = _near(found[0]) if found else None
        return Decision(best, None, rule.limit(card, threshold), card.name, rule, standing).matched, found

    def page(self, skip: int, limit: int) -> tuple[int, list[Record]]:
        """How many faces there are, and some of them in the order in which they were made."""
        with self.database.reading() as connection:
            wanted = sa.select(*COLUMNS).order_by(faces.c.id).offset(skip).limit(limit)
            records = [Record.of(row) for row in connection.execute(wanted)]
            return connection.execute(sa.select(sa.func.count()).select_from(faces)).scalar_one(), records

    def record(self, record_id: str) -> tuple[int, Record]:
        """One face, and how many older ones there are. Raises NotFound."""
        check_id(record_id)
        with self.database.reading() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(faces.c.record_id == record_id)).one_or_none()
            if row is None:
                raise NotFound(NO_RECORD)
            # Without the sum SQLite would read the table, and not a small index that has all row numbers.
            older = sa.select(sa.func.count()).select_from(faces).where(faces.c.id + 0 < row.id)
            return connection.execute(older).scalar_one(), Record.of(row)

    def rebuild(self) -> int:
        """Make the index anew from the table, here and in every other worker, and return how many faces it holds."""
        with self.database.writing() as connection:
            version = writes.next_version(connection)
            connection.execute(sa.update(state).values(complete_from=version))
        self.load()
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        """How many faces the index holds of each model."""
        return self._replica.sizes()

    def ping(self) -> None:
        """Raise DatabaseAway if the database does not answer."""
        with self.database.reading() as connection:
            connection.execute(sa.select(state.c.version))

    @contextmanager
    def _nearest(
        self, probe: Block | Vector, card: ModelCard, rule: Rule, at_once: int = AT_ONCE, *, explain: bool = False
    ) -> Iterator[tuple[Iterator[Found], Standing | None]]:
        """The faces, nearest first, and how the probe stands, where the rule or ``explain`` asks for it."""
        while True:
            with self.database.reading() as connection:
                self._replica.catch_up(connection)
                if rule.name == "threshold" and not explain:
                    yield neighbours(connection, self._replica, probe, card, at_once), None
                    return
                try:
                    decides = None if explain else self._replica
                    view = self._cohorts.view(connection, probe.astype(np.float64), card, rule, decides)
                except (NotReady, TooLarge) as error:
                    if rule.name == "cohort" or isinstance(error, DatabaseAway):
                        raise
                    explain = False  # the decision can do without
                    continue
                if view is not None:
                    yield neighbours(connection, view, probe, card, at_once), view.standing
                    return

    def _milvus(self, uri: str) -> Replica:
        try:
            from face128.gallery.milvus import MilvusReplica
        except ModuleNotFoundError:
            raise ConfigurationError("Milvus's client is not installed: pip install 'face128[milvus]'") from None
        return MilvusReplica(uri, self.database)

    def _erase(self, whose: sa.ColumnElement[bool]) -> list[Record]:
        with self.database.writing() as connection:
            records = writes.erase(connection, whose)
        self.load()
        self.database.wipe()
        return records

    def _refuse_duplicate(
        self, connection: sa.Connection, person: Person, face: NewFace, index: int, card: ModelCard
    ) -> None:
        for found in neighbours(connection, self._replica, face.descriptor, card):
            if found.distance > card.threshold:
                return
            other = found.record.person
            if not person.same_as(other):
                raise Duplicate(
                    f"This face is already enrolled as {other.name or other.user_id}. If it is not: force=true.",
                    user_id=other.user_id,
                    name=other.name,
                    distance=found.distance,
                    index=index,
                )

    def _has(self, connection: sa.Connection, person: Person) -> bool:
        wanted = sa.select(faces.c.id).where(faces.c.user_id == person.user_id).limit(1)
        return connection.execute(wanted).first() is not None


def _near(found: Found | None) -> Near | None:
    if found is None:
        return None
    return Near(found.record.person.reg_no, found.record.person.name, found.distance)
