"""What is agreed with a person: until when they may be kept, and the reference of their consent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypedDict

from face128.domain.plain_text import check_plain_text
from face128.errors import InvalidRequest

MAX_CONSENT_CHARACTERS = 500

_TIME = re.compile(  # RFC 3339, section 5.6, and a time without seconds
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@dataclass(frozen=True)
class Terms:
    expires_at: datetime | None = None
    """UTC, without a time zone, in whole seconds."""
    consent: str | None = None
    last_seen: date | None = None
    """The day, in UTC, of the last decision for this person; known only while decisions are kept."""

    def to_json(self) -> dict[str, Any]:
        """What is known, as ``expires_at``, ``consent`` and ``last_seen``."""
        known: dict[str, Any] = {}
        if self.expires_at is not None:
            known["expires_at"] = f"{self.expires_at.isoformat()}Z"
        if self.consent is not None:
            known["consent"] = self.consent
        if self.last_seen is not None:
            known["last_seen"] = self.last_seen.isoformat()
        return known


NO_TERMS = Terms()


class TermChanges(TypedDict, total=False):
    """What is to be changed; None removes what is known."""

    expires_at: datetime | None
    consent: str | None


NO_CHANGES: TermChanges = {}


def utc_now() -> datetime:
    """UTC, without a time zone, in whole seconds."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def parse_terms(fields: Mapping[str, Any]) -> TermChanges:
    """The ``expires_at`` and ``consent`` among these fields. Raises InvalidRequest."""
    changes: TermChanges = {}
    if "expires_at" in fields:
        value = fields["expires_at"]
        changes["expires_at"] = None if value is None else _parse_time(value)
    if "consent" in fields:
        value = fields["consent"]
        if value is not None and not isinstance(value, str):
            raise InvalidRequest("The consent is text.", field="consent")
        if value is not None:
            check_plain_text("consent", value, MAX_CONSENT_CHARACTERS)
        changes["consent"] = value
    return changes


def refuse_past(changes: TermChanges, now: datetime) -> None:
    """Raise InvalidRequest for a time that is over: the person would be erased at once."""
    expires_at = changes.get("expires_at")
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("The expires_at lies in the past. To erase somebody, erase them.", field="expires_at")


def refuse_expired(known: Terms, changes: TermChanges, now: datetime, **context: object) -> None:
    """Raise InvalidRequest for a new photo of a person whose time is over, unless another is named.

    It would be stored, and erased with them. ``context`` is of the error.
    """
    if "expires_at" not in changes and known.expires_at is not None and known.expires_at <= now:
        sentence = "The time of this person is over, and they are about to be erased: name another expires_at."
        raise InvalidRequest(sentence, field="expires_at", **context)


def _parse_time(value: object) -> datetime:
    sentence = "The expires_at is a time in ISO 8601 with its zone, such as 2027-01-31T00:00:00Z."
    try:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise InvalidRequest(sentence, field="expires_at")
        time = datetime.fromisoformat(value.upper())
        return time.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    except (ValueError, OverflowError):
        raise InvalidRequest(sentence, field="expires_at") from None
