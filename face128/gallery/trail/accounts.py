"""What a gallery keeps of how it is used: deeds that are no changes, on the trail, and the decisions.

Changes put themselves on the trail, in their own transactions (trail/chain.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from face128.caller import caller
from face128.domain.decision_rule import DecisionKind, Verdict
from face128.errors import Duplicate
from face128.gallery.one_to_one import Verification
from face128.gallery.people import people
from face128.gallery.rows.records import Person
from face128.gallery.storage.database import Database
from face128.gallery.trail import decisions
from face128.gallery.trail.chain import Deed, chain_of, current_request
from face128.gallery.trail.decisions import KeptDecision
from face128.gallery.trail.recorder import Recorder
from face128.matching.outcome import Decision

Note = Deed | KeptDecision


class AccountsOfCollection:
    """The accounts of one collection. Where nothing is kept, each call does nothing.

    In a service the answer waits until what was noted is committed; elsewhere the call waits. Raises
    DatabaseUnavailable where it cannot be written: what cannot be recorded is not answered.
    """

    def __init__(self, recorder: Recorder[Note], database: Database, decision_days: int) -> None:
        self._recorder, self._database, self._days = recorder, database, decision_days

    def note(
        self, action: str, *, person: str | None = None, result: str = "ok", details: dict[str, Any] | None = None
    ) -> None:
        """Put a deed without a transaction on the trail: something was read, or refused. Words as ``chain.record``."""
        if self._database.trail_on:
            self._recorder.submit(self._database.collection, Deed.of_caller(action, [person or ""], result, details))

    @contextmanager
    def noting_refusal(self, person: Person) -> Iterator[None]:
        """Note an enrolment that is refused because of somebody else's face: the error names them to the caller."""
        try:
            yield
        except Duplicate as error:
            who = None if person.by_name else person.user_id  # the id of a new record: nobody has it
            self.note("enrol", person=who, result="duplicate")
            self.note("read", person=error.context["user_id"], result="duplicate")
            raise

    def keep_search(self, decided: Decision) -> None:
        if self._days:
            made = KeptDecision.of_search(decided, caller.get(), current_request())
            self._recorder.submit(self._database.collection, made)

    def keep_verification(self, found: Verification) -> None:
        result = "yes" if found.verified else "no"
        self.note("verify", person=found.person.user_id, result=result)
        if self._days:
            made = KeptDecision.of_verification(found, caller.get(), current_request())
            self._recorder.submit(self._database.collection, made)

    def decisions(
        self,
        limit: int,
        *,
        before: int | None = None,
        verdict: Verdict | None = None,
        kind: DecisionKind | None = None,
        user_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[KeptDecision]:
        """As ``decisions.page``."""
        with self._database.reading() as connection:
            return decisions.page(
                connection, limit, before=before, verdict=verdict, kind=kind, user_id=user_id, since=since, until=until
            )


class Accounts:
    """The accounts of a gallery's collections: one thread writes for all. ``decision_days``: how long decisions are
    kept; 0: not at all.
    """

    def __init__(self, database: Database, decision_days: int = 0) -> None:
        self._decision_days = decision_days
        self._recorder: Recorder[Note] = Recorder(database, self._write)

    def of(self, database: Database) -> AccountsOfCollection:
        """``database`` is that of one collection."""
        return AccountsOfCollection(self._recorder, database, self._decision_days)

    def close(self) -> None:
        self._recorder.close()

    def _write(self, connection: sa.Connection, notes: Sequence[Note]) -> None:
        made = [note for note in notes if isinstance(note, KeptDecision)]
        if made:
            decisions.keep(connection, made, self._decision_days)
            seen = {each.user_id for each in made if each.verdict == "yes" and each.user_id is not None}
            people.saw(connection, seen, datetime.now(UTC).date())
        if chain := chain_of(connection):
            for note in notes:
                if isinstance(note, Deed):
                    chain.add(connection, note)
