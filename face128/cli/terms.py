"""The options --expires and --consent of the commands that enrol."""

from __future__ import annotations

from typing import Annotated

import typer

from face128.domain.terms import TermChanges, parse_terms, refuse_past, utc_now
from face128.errors import BadRequest, InvalidRequest

ExpiresOption = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="When they are erased: 2027-01-31T00:00:00Z."),
]
ConsentOption = Annotated[str | None, typer.Option("--consent", metavar="TEXT", help="The reference of their consent.")]


def given_fields(expires: str | None, consent: str | None) -> dict[str, str]:
    """The terms that the options name, as fields of a request. Raises BadRequest."""
    given_terms(expires, consent)
    given = {"expires_at": expires, "consent": consent and consent.strip()}
    return {field: value for field, value in given.items() if value is not None}


def given_terms(expires: str | None, consent: str | None) -> TermChanges:
    """The terms that the options name. Raises BadRequest."""
    changes: TermChanges = {}
    for option, field, value in (("--expires", "expires_at", expires), ("--consent", "consent", consent)):
        if value is not None:
            try:
                changes |= parse_terms({field: value.strip()})
                refuse_past(changes, utc_now())
            except InvalidRequest as error:
                raise BadRequest(f"{option}: {error}") from None
    return changes
