"""The trail within a writing transaction: what is recorded becomes part of the deed's own transaction, or of none.

``Database.writing`` opens the chain where the trail is on, and writes it at the end: two statements a transaction,
however many entries. There is one writer at a time, so the entries are in the order of the commits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import sqlalchemy as sa

from face128.caller import caller
from face128.gallery.storage.tables import collection_of, state, trail
from face128.gallery.trail.entry import EVERYBODY, Entry, details_json, mark, now, sealed
from face128.logs import NO_REQUEST, request_id

OPTION = "trail"
"""The execution option of a connection that has the chain."""
KEY_BYTES = 32
MAX_REQUEST_ID_CHARACTERS = 64  # the column's length

HEAD = (
    *(state.c.trail_on, state.c.trail_seq, state.c.trail_hash, state.c.trail_seal, state.c.trail_key),
    state.c.keystore_id,
)


@dataclass(frozen=True)
class Deed:
    """What the trail is told. ``people`` are user_ids in clear, EVERYBODY, or "" for nobody: an entry for each."""

    action: str
    people: tuple[str, ...] = ("",)
    result: str = "ok"
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers, and words of face128's own: it names nobody."""
    actor: str = ""
    request_id: str = ""

    @classmethod
    def of_caller(cls, action: str, people: Iterable[str], result: str, details: dict[str, Any] | None) -> Self:
        """A deed of the request, or of the command, in whose context this is called."""
        return cls(action, tuple(people), result, details or {}, caller.get(), current_request())


class Chain:
    """``head``: the values of HEAD, read by the transaction that holds the writer's lock."""

    def __init__(self, head: Any) -> None:
        self._seq, self._hash, self._seal = head.trail_seq, head.trail_hash, head.trail_seal
        self._local_key, self._encrypted = bytes.fromhex(head.trail_key), head.keystore_id is not None
        self._new: list[Entry] = []

    def add(self, connection: sa.Connection, deed: Deed) -> None:
        keys = Keys.of(connection, self._local_key) if self._is_encrypted(connection) else Keys(None, [self._local_key])
        collection, at, details = collection_of(connection), now(), details_json(deed.details)
        for person in deed.people:
            who = person if person in ("", EVERYBODY) else mark(keys.people[0], collection, person)
            values = at, deed.actor, deed.action, who, collection, deed.request_id, deed.result, details
            entry = Entry(self._seq + 1, *values).chained(self._hash, keys.chain)
            self._seq, self._hash, self._seal = entry.seq, entry.hash, sealed(self._seal, entry.hash, keys.chain)
            self._new.append(entry)

    def _is_encrypted(self, connection: sa.Connection) -> bool:
        """Whether any row is, since when nobody writes without the key: perhaps since a moment ago."""
        if not self._encrypted and _vault_of(connection) is not None:
            self._encrypted = connection.scalar(sa.select(state.c.keystore_id)) is not None
        return self._encrypted

    def write(self, connection: sa.Connection) -> None:
        """Write what was added. Called once, at the end of the transaction."""
        if self._new:
            connection.execute(sa.insert(trail), [vars(entry) for entry in self._new])
            head = {"trail_seq": self._seq, "trail_hash": self._hash, "trail_seal": self._seal}
            connection.execute(sa.update(state).values(head))


class Keys:
    """``chain``: what makes the hashes; None: no key. ``people``: what makes the persons' marks, the present one first.

    An encrypted gallery's key gives both: whoever has the database alone can neither forge an entry nor try ids. The
    other galleries have a key in the database itself: it keeps those who have an exported trail from trying ids.
    """

    def __init__(self, chain: bytes | None, people: list[bytes]) -> None:
        self.chain, self.people = chain, people

    @classmethod
    def of(cls, connection: sa.Connection, local_key: bytes) -> Self:
        vault = _vault_of(connection)
        if vault is None:
            return cls(None, [local_key])
        secret = vault.derive("trail")
        chain, people = (hmac.new(secret, purpose, hashlib.sha256).digest() for purpose in (b"chain", b"people"))
        return cls(chain, [people, local_key] if local_key else [people])


def _vault_of(connection: sa.Connection) -> Any:
    """As stored_rows.vault_of; that module needs the database, which needs this one."""
    return connection.get_execution_options().get("vault")


def chain_of(connection: sa.Connection) -> Chain | None:
    """The chain of a writing transaction; None where the trail is off."""
    chain: Chain | None = connection.get_execution_options().get(OPTION)
    return chain


def record(
    connection: sa.Connection,
    action: str,
    *,
    person: str | None = None,
    people: Iterable[str] | None = None,
    result: str = "ok",
    details: dict[str, Any] | None = None,
) -> None:
    """Put a deed on the trail, in the transaction of the deed; does nothing where the trail is off.

    ``person`` is a user_id as the caller knows it, in clear; EVERYBODY; or None for nobody. ``people`` are several: an
    entry for each.
    """
    if chain := chain_of(connection):
        whom = (person or "",) if people is None else people
        chain.add(connection, Deed.of_caller(action, whom, result, details))


def current_request() -> str:
    """The id of the request that is answered; empty for a command."""
    identifier = request_id.get()
    return "" if identifier == NO_REQUEST else identifier[:MAX_REQUEST_ID_CHARACTERS]


def switch(connection: sa.Connection, on: bool) -> None:
    """Switch the trail on or off for everybody who uses this gallery. The trail says when, and by whom.

    For a writing transaction.
    """
    head = connection.execute(sa.select(*HEAD)).one()
    if bool(head.trail_on) == on:
        return
    key = head.trail_key or secrets.token_hex(KEY_BYTES)
    connection.execute(sa.update(state).values(trail_on=on, trail_key=key))
    chain = chain_of(connection) or Chain(head)
    chain.add(connection, Deed.of_caller("trail", [""], "on" if on else "off", None))
    if on:  # else the transaction has the chain, and writes it
        chain.write(connection)
