"""Reads the trail: all of it, the last entries, or those about one person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from face128.gallery.storage.tables import collection_of, state, trail
from face128.gallery.trail.chain import Keys
from face128.gallery.trail.entry import EVERYBODY, Entry, mark

BLOCK_ENTRIES = 5_000  # that are in memory at once
SEARCHED_ENTRIES = 50_000  # looked through at once for those of an action

COLUMNS = [trail.c[field.name] for field in fields(Entry)]


def keys_of(connection: sa.Connection) -> Keys:
    local_key = connection.scalar(sa.select(state.c.trail_key)) or ""
    return Keys.of(connection, bytes.fromhex(local_key))


def state_of_trail(connection: sa.Connection) -> dict[str, Any]:
    """Whether it is on, and how many entries it has; empty for one that never was."""
    row = connection.execute(sa.select(state.c.trail_on, state.c.trail_seq)).one()
    return {"on": bool(row.trail_on), "entries": row.trail_seq} if row.trail_seq else {}


def walk(connection: sa.Connection) -> Iterator[Entry]:
    """All entries, the oldest first."""
    last = None
    while True:
        rows = _block(connection, last)
        yield from map(_entry, rows)
        if len(rows) < BLOCK_ENTRIES:
            return
        last = rows[-1].seq


def block(connection: sa.Connection, last: int = 0) -> list[Entry]:
    """The entries after the number ``last``, the oldest first, BLOCK_ENTRIES at most."""
    return list(map(_entry, _block(connection, last)))


def _block(connection: sa.Connection, last: int | None) -> Sequence[sa.Row[Any]]:
    wanted = sa.select(*COLUMNS).order_by(trail.c.seq).limit(BLOCK_ENTRIES)
    return connection.execute(wanted if last is None else wanted.where(trail.c.seq > last)).all()


def page(
    connection: sa.Connection,
    limit: int,
    *,
    before: int | None = None,
    person: str | None = None,
    action: str | None = None,
    above: int = 0,
) -> list[Entry]:
    """The newest entries below ``before`` and above ``above``, the newest first. The last one's seq is the next
    ``before``.

    With ``person``, a user_id in clear: those about this person of the connection's collection, and about everybody in
    it. With ``action``: those of that action.
    """
    wanted = sa.select(*COLUMNS).order_by(trail.c.seq.desc()).limit(limit)
    if above:
        wanted = wanted.where(trail.c.seq > above)
    if action is not None:
        wanted = wanted.where(trail.c.action == action)
    if before is not None:
        wanted = wanted.where(trail.c.seq < before)
    if person is not None:
        collection = collection_of(connection)
        marks = [mark(key, collection, person) for key in keys_of(connection).people]
        about_all = (trail.c.person == EVERYBODY) & (trail.c.collection == collection)
        wanted = wanted.where(trail.c.person.in_(marks) | about_all)
    return [_entry(row) for row in connection.execute(wanted)]


def searched(
    connection: sa.Connection,
    limit: int,
    *,
    before: int | None = None,
    person: str | None = None,
    action: str | None = None,
) -> tuple[list[Entry], int | None]:
    """As ``page``, and the next ``before``; None after the last.

    An action has no index. So some entries are looked through at a time, and there may be none among them.
    """
    head = connection.scalar(sa.select(state.c.trail_seq)) or 0
    top = head + 1 if before is None else min(before, head + 1)
    bottom = max(0, top - SEARCHED_ENTRIES - 1) if action is not None else 0
    found = page(connection, limit, before=before, person=person, action=action, above=bottom)
    if len(found) == limit:
        return found, found[-1].seq
    return found, bottom + 1 if bottom else None


def _entry(row: Sequence[Any]) -> Entry:
    """What somebody else has put into SQLite's columns may be of any type; its text is no entry of ours."""
    seq, *texts = row
    return Entry(
        seq if isinstance(seq, int) else -1, *(each if isinstance(each, str) else repr(each) for each in texts)
    )


def readable(entry: Entry) -> dict[str, Any]:
    """As JSON for people and programs, without what proves it."""
    shown = asdict(entry)
    del shown["hash_key"], shown["hash"]
    try:
        shown["details"] = json.loads(entry.details)
    except ValueError:  # somebody has edited it
        shown["details"] = {"unreadable": entry.details}
    return shown


def as_stored(entry: Entry) -> str:
    """A line of an export: JSON with every column as it is hashed."""
    return json.dumps(asdict(entry), separators=(",", ":"))
