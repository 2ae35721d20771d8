"""What is agreed with a person, among the fields of an enrolment or of a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from face128.domain.terms import TermChanges, parse_terms, refuse_past, utc_now

FIELDS = ("expires_at", "consent")


def enrolled_terms(fields: Mapping[str, Any]) -> TermChanges:
    """The terms of an enrolment; a field that is missing or empty changes nothing. Raises InvalidRequest."""
    return changed_terms({name: fields[name] for name in FIELDS if fields.get(name) not in (None, "")})


def changed_terms(fields: Mapping[str, Any]) -> TermChanges:
    """The terms among the fields; null removes what is known. Raises InvalidRequest, also for a time that is over."""
    stripped = {name: value.strip() if isinstance(value, str) else value for name, value in fields.items()}
    changes = parse_terms(stripped)
    refuse_past(changes, utc_now())
    return changes
