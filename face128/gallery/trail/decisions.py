"""The decisions that are kept: who was found, how near, and what was decided; no descriptors and no photos.

A row's ``user_id`` is as that of ``faces``: a token in an encrypted gallery. So a decision names somebody only as long
as they are enrolled, and goes with their last face.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from face128.domain.decision_rule import DecisionKind, Verdict
from face128.domain.plain_text import refuse_nul
from face128.gallery.rows.all_collections import any_row, delete_rows
from face128.gallery.rows.records import RECORD_COLUMNS
from face128.gallery.rows.stored_rows import opened, record_of, stored_texts, vault_of
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import collection_of, decisions, faces, in_collection
from face128.gallery.trail import review_rows
from face128.gallery.trail.chain import Deed, chain_of, record
from face128.gallery.trail.entry import timestamp
from face128.matching.outcome import Decision

if TYPE_CHECKING:
    from face128.gallery.one_to_one import Verification
    from face128.gallery.storage.database import Database

MAX_DELETED = 10_000  # decisions in one transaction


@dataclass(frozen=True)
class KeptDecision:
    kind: DecisionKind
    user_id: str | None
    """Who was found, or is to be looked at again; for "verify", who was asked for. None: nobody."""
    distance: float | None
    risk: float | None
    """The ``stranger_risk``, where the rule computes it."""
    verdict: Verdict
    rule: str
    model: str
    actor: str = ""
    request_id: str = ""
    at: str = ""
    id: int = 0

    @classmethod
    def of_search(cls, decided: Decision, actor: str, request_id: str) -> KeptDecision:
        """Of somebody who is not accepted it has the distance alone, as the answer does."""
        found = decided.nearest if decided.verdict != "no" else None
        user_id = None if found is None else found.reg_no if isinstance(found.reg_no, str) else json.dumps(found.reg_no)
        risk = None if decided.cohort_score is None else decided.cohort_score.stranger_risk
        return cls(
            "search",
            user_id,
            decided.distance,
            risk,
            decided.verdict,
            decided.rule.name,
            decided.model,
            actor,
            request_id,
        )

    @classmethod
    def of_verification(cls, found: Verification, actor: str, request_id: str) -> KeptDecision:
        verdict: Verdict = "yes" if found.verified else "no"
        user_id = found.person.user_id
        return cls("verify", user_id, found.distance, None, verdict, "threshold", found.model, actor, request_id)


def keep(connection: sa.Connection, made: Sequence[KeptDecision], days: int, now: datetime | None = None) -> None:
    """Store decisions, in a writing transaction; those of searches go on the trail, too, where it is on."""
    now = now or datetime.now(UTC)
    shared = {
        "collection": collection_of(connection),
        "at": timestamp(now),
        "keep_until": timestamp(now + timedelta(days=days)),
    }
    stored = stored_ids(connection, {each.user_id for each in made if each.user_id is not None})
    rows = [
        shared
        | {name: getattr(each, name) for name in ("actor", "request_id", "kind")}
        | {name: getattr(each, name) for name in ("distance", "risk", "verdict", "rule", "model")}
        | {"user_id": None if each.user_id is None else stored.get(each.user_id)}
        for each in made
    ]
    connection.execute(sa.insert(decisions), rows)
    if chain := chain_of(connection):
        for each in made:
            if each.kind == "search":  # a verification is a deed of its own, whether decisions are kept or not
                deed = Deed("match", (each.user_id or "",), each.verdict, {}, each.actor, each.request_id)
                chain.add(connection, deed)


def page(
    connection: sa.Connection,
    limit: int,
    *,
    before: int | None = None,
    verdict: Verdict | None = None,
    kind: DecisionKind | None = None,
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[KeptDecision]:
    """The newest decisions, with an id below ``before``; times have a zone. The last one's id is the next ``before``.

    ``user_id`` is in clear, here and in the result. Of a person who is not enrolled any more it is None.
    """
    wanted = sa.select(decisions).where(of_collection(connection))
    if before is not None:
        wanted = wanted.where(decisions.c.id < before)
    if verdict is not None:
        wanted = wanted.where(decisions.c.verdict == verdict)
    if kind is not None:
        wanted = wanted.where(decisions.c.kind == kind)
    if user_id is not None:
        refuse_nul("user_id", user_id)
        wanted = wanted.where(decisions.c.user_id.in_(stored_texts(connection, user_id)))
    if since is not None:
        wanted = wanted.where(decisions.c.at >= timestamp(since))
    if until is not None:
        wanted = wanted.where(decisions.c.at < timestamp(until))
    return read(connection, wanted.order_by(decisions.c.id.desc()).limit(limit))


def following(connection: sa.Connection, after: int, limit: int) -> list[KeptDecision]:
    """The next decisions with an id above ``after``, the oldest first. Ids are in the order of the commits."""
    wanted = sa.select(decisions).where(of_collection(connection), decisions.c.id > after)
    return read(connection, wanted.order_by(decisions.c.id).limit(limit))


def newest_id(connection: sa.Connection) -> int:
    """That of the newest decision; 0 where there is none."""
    return connection.scalar(sa.select(sa.func.max(decisions.c.id)).where(of_collection(connection))) or 0


def of_collection(connection: sa.Connection) -> sa.ColumnElement[bool]:
    """The condition for the decisions of the connection's collection: each index but that on times begins with it."""
    return in_collection(connection, decisions, whole=True)


def read(connection: sa.Connection, wanted: sa.Select[Any]) -> list[KeptDecision]:
    """The decisions of a statement that selects their columns."""
    rows = connection.execute(wanted).mappings().all()
    names = in_clear(connection, {row["user_id"] for row in rows} - {None})
    return [of_row(row, names) for row in rows]


def purge(database: Database, days: int, now: datetime) -> int:
    """Delete all decisions whose time is over, as ``delete_due`` says; return how many."""
    deleted = 0
    with database.reading() as connection:
        due = any_row(connection, _due(days, now), decisions.c.id)
    while due:
        with database.writing() as connection:
            count = delete_due(connection, days, now)
        deleted += count
        due = count == MAX_DELETED
    return deleted


def delete_due(connection: sa.Connection, days: int, now: datetime) -> int:
    """Delete some of the decisions whose time is over, in a writing transaction; return how many. Of all collections.

    Their time is what the service that made them was set to; and no more than ``days``, if this one keeps any.
    """
    ids = delete_rows(connection, _due(days, now), decisions.c.id, MAX_DELETED)
    if ids:
        record(connection, "purge", details={"decisions": len(ids)})
    return len(ids)


def _due(days: int, now: datetime) -> sa.ColumnElement[bool]:
    due = decisions.c.keep_until <= timestamp(now)
    return due | (decisions.c.at <= timestamp(now - timedelta(days=days))) if days else due


def forget(connection: sa.Connection, user_ids: Iterable[str]) -> None:
    """Delete the decisions about these people, by their ids in clear, unless they have a face left."""
    enrolled = sa.exists().where((faces.c.user_id == decisions.c.user_id) & in_collection(connection))
    forms = dict.fromkeys(form for user_id in user_ids for form in stored_texts(connection, user_id))
    for block in in_blocks(forms):
        connection.execute(sa.delete(decisions).where(_are(connection, block) & ~enrolled))
        review_rows.forget(connection, block)


def move(connection: sa.Connection, stored_from: str, stored_to: str) -> None:
    """Give the decisions of one person to another; or a new stored form of their id. Judgements name them likewise."""
    connection.execute(sa.update(decisions).where(_are(connection, [stored_from])).values(user_id=stored_to))
    review_rows.move(connection, stored_from, stored_to)


def _are(connection: sa.Connection, stored_ids: Collection[str]) -> sa.ColumnElement[bool]:
    return of_collection(connection) & decisions.c.user_id.in_(stored_ids)


def stored_ids(connection: sa.Connection, user_ids: Collection[str]) -> dict[str, str]:
    """The ids as the people's rows of ``faces`` have them: who was erased meanwhile is left out."""
    forms = {form: user_id for user_id in user_ids for form in stored_texts(connection, user_id)}
    wanted = sa.select(faces.c.user_id).where(in_collection(connection)).distinct()
    found: dict[str, str] = {}
    for block in in_blocks(forms):
        for stored in connection.scalars(wanted.where(faces.c.user_id.in_(block))):
            found[forms[stored]] = stored
    return found


def of_row(row: Any, names: dict[str, str]) -> KeptDecision:
    """The decision of a row, a mapping that may have further values; ``names`` as ``in_clear`` gives them."""
    values = {field.name: row[field.name] for field in fields(KeptDecision)}
    return KeptDecision(**values | {"user_id": names.get(row["user_id"])})


def in_clear(connection: sa.Connection, stored_ids: Collection[str]) -> dict[str, str]:
    """The user_ids in clear, by their stored form."""
    if vault_of(connection) is None:
        return {stored: stored for stored in stored_ids}
    columns = [sa.literal(b"") if column is faces.c.embedding else column for column in RECORD_COLUMNS]
    wanted = sa.select(*columns, faces.c.user_id.label("stored")).where(in_collection(connection))
    names: dict[str, str] = {}
    for block in in_blocks(stored_ids):
        for row in opened(connection, connection.execute(wanted.where(faces.c.user_id.in_(block))).all()):
            if row[-1] not in names and (found := record_of(connection, row)) is not None:
                names[row[-1]] = found.person.user_id
    return names
