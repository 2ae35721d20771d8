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
        wanted = sa.select(*COLUMNS).order_by(trail.c.seq).limit(BLOCK_ENTRIES)
        rows = connection.execute(wanted if last is None else wanted.where(trail.c.seq > last)).all()
        yield from map(_entry, rows)
        if len(rows) < BLOCK_ENTRIES:
            return
        last = rows[-1].seq


def page(connection: sa.Connection, limit: int, *, before: int | None = None, person: str | None = None) -> list[Entry]:
    """The newest entries below ``before``, the newest first. The last one's seq is the next ``before``.

    With ``person``, a user_id in clear: those about this person of the connection's collection, and about everybody in
    it.
    """
    wanted = sa.select(*COLUMNS).order_by(trail.c.seq.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(trail.c.seq < before)
    if person is not None:
        collection = collection_of(connection)
        marks = [mark(key, collection, person) for key in keys_of(connection).people]
        about_all = (trail.c.person == EVERYBODY) & (trail.c.collection == collection)
        wanted = wanted.where(trail.c.person.in_(marks) | about_all)
    return [_entry(row) for row in connection.execute(wanted)]


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
