"""Who is signed in to the console: sessions in the gallery's database, so that every process of a service knows them.

The token in the cookie is random, and only its SHA-256 is stored: who reads the database can sign in as nobody.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import console_sessions as sessions
from face128.gallery.trail.entry import timestamp

SESSION_HOURS = 12
"""A working day. Then the key is asked for again, however busy the session was."""
_TOKEN_BYTES = 32
_MAX_TOKEN_CHARACTERS = 64


@dataclass(frozen=True)
class Session:
    key_hash: str
    """The SHA-256 of the API key, in hex."""
    expires_at: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Sessions:
    """``now`` is the clock. All calls raise DatabaseUnavailable where the database cannot be used."""

    def __init__(self, database: Database, now: Callable[[], datetime] = _now) -> None:
        self._database, self._now = database, now

    def begin(self, key_hash: str) -> str:
        """The token of a new session. Sessions that have ended are deleted."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._now()
        ends = timestamp(now + timedelta(hours=SESSION_HOURS))
        with self._database.writing() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= timestamp(now)))
            row = {"token_hash": _hash(token), "key_hash": key_hash, "expires_at": ends}
            connection.execute(sa.insert(sessions).values(row))
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token; None if there is none, or if it has ended."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        wanted = sa.select(sessions.c.key_hash, sessions.c.expires_at).where(sessions.c.token_hash == _hash(token))
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None or row.expires_at <= timestamp(self._now()):
            return None
        return Session(row.key_hash, datetime.fromisoformat(row.expires_at))

    def living(self, tokens: Collection[str]) -> set[str]:
        """Those of these tokens whose sessions have not ended."""
        if not tokens:
            return set()
        by_hash = {_hash(token): token for token in tokens}
        own = sessions.c.token_hash.in_(by_hash) & (sessions.c.expires_at > timestamp(self._now()))
        with self._database.reading() as connection:
            return {by_hash[found] for found in connection.scalars(sa.select(sessions.c.token_hash).where(own))}

    def end(self, token: str) -> None:
        if self.find(token) is not None:
            with self._database.writing() as connection:
                connection.execute(sa.delete(sessions).where(sessions.c.token_hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
