"""What an import agrees with people: what a member of the file says, or else what the command says of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from face128.domain.terms import NO_TERMS, TermChanges, parse_terms, refuse_expired
from face128.errors import ConsentRequired
from face128.gallery.people.people import agree, terms_of
from face128.gallery.people.retention import Retention

FIELDS = ("expires_at", "consent")


def terms_of_member(member: dict[str, Any]) -> TermChanges:
    """The terms of a member; null or empty is none. A time that is over is taken: the purge erases them.

    Raises InvalidRequest.
    """
    fields = {name: member[name] for name in FIELDS if member.get(name) not in (None, "")}
    return parse_terms({name: value.strip() if isinstance(value, str) else value for name, value in fields.items()})


class ImportTerms:
    """``given``: the terms of those whose member says nothing else."""

    def __init__(self, given: TermChanges, retention: Retention) -> None:
        self._given, self._retention = given, retention
        self._consented: set[int] = set()
        """The hashes of the user_ids with a consent in the file, where it is required."""

    def check(self, connection: sa.Connection, new: Sequence[dict[str, Any]]) -> None:
        """Raise ConsentRequired for the first of these new faces whose person has no consent, neither here nor stored.

        Also what ``refuse_expired`` raises.
        """
        known = terms_of(connection, {row["user_id"] for row in new})
        now = self._retention.now()
        for row in new:
            stored, changes = known.get(row["user_id"], NO_TERMS), self._changes(row)
            refuse_expired(stored, changes, now, regNo=row["user_id"])
            if not self._retention.require_consent:
                continue
            if changes.get("consent"):
                self._consented.add(hash(row["user_id"]))
            elif stored.consent is None and hash(row["user_id"]) not in self._consented:
                raise ConsentRequired(regNo=row["user_id"], field="consent")

    def store(self, connection: sa.Connection, stored: Sequence[dict[str, Any]]) -> None:
        """Store the terms of the people of these faces, which have just been stored."""
        people: dict[str, TermChanges] = {}
        for row in stored:
            people[row["user_id"]] = {**people.get(row["user_id"], {}), **self._changes(row)}
        for user_id, changes in people.items():
            if changes or self._retention.require_consent:
                agree(connection, user_id, changes, NO_TERMS, require_consent=self._retention.require_consent)

    def _changes(self, row: dict[str, Any]) -> TermChanges:
        return {**self._given, **row["terms"]}
