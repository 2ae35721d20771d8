"""What people say of the decisions that were to be looked at again: right, wrong, or who it was instead.

A judgement changes nothing else: ``review_summary`` says what can be learnt from many. It goes with its decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from face128.caller import caller
from face128.domain.decision_rule import Judgement
from face128.errors import InvalidRequest, NotFound
from face128.gallery.one_to_one import NO_PERSON
from face128.gallery.rows.records import check_text
from face128.gallery.rows.stored_rows import stored_texts
from face128.gallery.storage.tables import collection_of, decisions, in_collection, reviews
from face128.gallery.trail.chain import record
from face128.gallery.trail.decisions import KeptDecision, in_clear, of_collection, of_row, read, stored_ids
from face128.gallery.trail.entry import now

NO_DECISION = "There is no such decision to be looked at again. It may have been deleted meanwhile."

_TO_REVIEW = (decisions.c.verdict == "look_again") & decisions.c.user_id.is_not(None)
_JUDGED = reviews.c.decision_id == decisions.c.id


@dataclass(frozen=True)
class Review:
    decision: KeptDecision
    judgement: Judgement
    person: str | None
    """Who it was instead, for "person"; None if they cannot be read."""
    at: str
    actor: str


def queue(connection: sa.Connection, limit: int, before: int | None = None) -> list[KeptDecision]:
    """The decisions that nobody has judged, the newest first; as ``decisions.page``."""
    wanted = sa.select(decisions).where(_waiting(connection))
    if before is not None:
        wanted = wanted.where(decisions.c.id < before)
    return read(connection, wanted.order_by(decisions.c.id.desc()).limit(limit))


def count_waiting(connection: sa.Connection) -> int:
    return connection.scalars(sa.select(sa.func.count()).select_from(decisions).where(_waiting(connection))).one()


def judge(connection: sa.Connection, decision_id: int, judgement: Judgement, person: str | None = None) -> None:
    """Store what the caller says of a decision, instead of an earlier judgement. For a writing transaction.

    ``person``, for "person" only, is the user_id of who it is. Raises NotFound for a decision that is not to be looked
    at again, and for somebody who is not enrolled.
    """
    found = _decision(connection, decision_id)
    stored = None
    if judgement == "person":
        stored = _stored_person(connection, person)
        if person == found.user_id:
            judgement, person, stored = "right", None, None
    elif person is not None:
        raise InvalidRequest("Only the judgement person names somebody.", field="user_id")
    _delete(connection, decision_id)
    values = {
        "decision_id": decision_id,
        "collection": collection_of(connection),
        "at": now(),
        "actor": caller.get(),
        "judgement": judgement,
        "user_id": stored,
    }
    connection.execute(sa.insert(reviews).values(values))
    _record(connection, decision_id, judgement, found.user_id, person)


def undo(connection: sa.Connection, decision_id: int) -> None:
    """Take a judgement back: the decision waits again. Nothing to do where there is none. For a writing transaction."""
    found = _decision(connection, decision_id)
    named = connection.scalar(sa.select(reviews.c.user_id).where(_of(connection, decision_id)))
    if _delete(connection, decision_id):
        person = in_clear(connection, [named]).get(named) if named is not None else None
        _record(connection, decision_id, "undone", found.user_id, person)


def judged(
    connection: sa.Connection, limit: int | None = None, *, about: str | None = None, naming: str | None = None
) -> list[Review]:
    """The judgements about the newest decisions, at most so many. ``about``: only about decisions for this person;
    ``naming``: only those that say that it was this person instead.
    """
    columns = (reviews.c.judgement, reviews.c.user_id.label("person"), reviews.c.at.label("judged_at"))
    wanted = sa.select(decisions, *columns, reviews.c.actor.label("judged_by")).join(reviews, _JUDGED)
    wanted = wanted.where(in_collection(connection, decisions), in_collection(connection, reviews))
    if about is not None:
        wanted = wanted.where(decisions.c.user_id.in_(stored_texts(connection, about)))
    if naming is not None:
        wanted = wanted.where(reviews.c.user_id.in_(stored_texts(connection, naming)))
    rows = connection.execute(wanted.order_by(reviews.c.decision_id.desc()).limit(limit)).mappings().all()
    names = in_clear(connection, {row[name] for row in rows for name in ("user_id", "person")} - {None})
    return [_review(row, names) for row in rows]


def told(connection: sa.Connection, user_id: str) -> Iterator[dict[str, Any]]:
    """The judgements about a person as they may read them: nobody else is named."""
    for each in judged(connection, about=user_id):
        yield _told(each, "right" if each.judgement == "right" else "wrong")
    for each in judged(connection, naming=user_id):
        yield _told(each, "person")


def _told(review: Review, judgement: str) -> dict[str, Any]:
    decision = review.decision
    return {
        "decision": decision.id,
        "decided_at": decision.at,
        "distance": decision.distance,
        "judgement": judgement,
        "at": review.at,
        "actor": review.actor,
    }


def _waiting(connection: sa.Connection) -> sa.ColumnElement[bool]:
    of_decision = sa.exists().where(_JUDGED, in_collection(connection, reviews))
    return of_collection(connection) & _TO_REVIEW & ~of_decision


def _decision(connection: sa.Connection, decision_id: int) -> KeptDecision:
    own = decisions.c.id == decision_id
    found = read(connection, sa.select(decisions).where(own, _TO_REVIEW, in_collection(connection, decisions)))
    if not found:
        raise NotFound(NO_DECISION)
    return found[0]


def _stored_person(connection: sa.Connection, person: str | None) -> str:
    if not person:
        raise InvalidRequest("Who is it? Give the number of an enrolled person.", field="user_id")
    check_text("user_id", person)
    stored = stored_ids(connection, [person]).get(person)
    if stored is None:
        raise NotFound(NO_PERSON, field="user_id")
    return stored


def _delete(connection: sa.Connection, decision_id: int) -> bool:
    return connection.execute(sa.delete(reviews).where(_of(connection, decision_id))).rowcount > 0


def _of(connection: sa.Connection, decision_id: int) -> sa.ColumnElement[bool]:
    return (reviews.c.decision_id == decision_id) & in_collection(connection, reviews)


def _record(connection: sa.Connection, decision_id: int, result: str, *people: str | None) -> None:
    about = [who for who in people if who is not None] or [""]
    record(connection, "review", people=about, result=result, details={"decision": decision_id})


def _review(row: Any, names: dict[str, str]) -> Review:
    return Review(of_row(row, names), row["judgement"], names.get(row["person"]), row["judged_at"], row["judged_by"])
