"""What happened: the decisions that are kept, and new ones as they are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, get_args

from fastapi import APIRouter, Query, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page
from face128.api.routes.decisions import MAX_ID, list_decisions
from face128.domain.decision_rule import DecisionKind, Verdict
from face128.errors import InvalidRequest

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.trail.decisions import KeptDecision

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE_DECISIONS = 40  # with all that it loads, the page stays below 100 kB
MAX_TEXT_CHARACTERS = 255

Text = Annotated[str, Query(max_length=MAX_TEXT_CHARACTERS)]
DecisionId = Annotated[int | None, Query(ge=0, le=MAX_ID)]


@dataclass(frozen=True)
class Filters:
    verdict: Verdict | None
    kind: DecisionKind | None
    person: str | None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def any(self) -> bool:
        return self != Filters(None, None, None)

    def match(self, decision: KeptDecision) -> bool:
        """For a decision of now."""
        return (
            self.verdict in (None, decision.verdict)
            and self.kind in (None, decision.kind)
            and self.person in (None, decision.user_id)
        )


@router.get("/console/decisions", dependencies=console_needs("gallery"))
async def decisions_page(
    request: Request,
    access: GalleryDep,
    before: DecisionId = None,
    verdict: Text = "",
    kind: Text = "",
    person: Text = "",
    since: Text = "",
    until: Text = "",
) -> Response:
    problem = None
    try:
        filters = replace(
            parse_filters(verdict, kind, person), since=_time(since, "since"), until=_time(until, "until")
        )
    except InvalidRequest as error:
        problem, filters = error, Filters(None, None, None)
    newest = await access.run(newest_id)  # before the page is read: what comes in between is told by both
    found = await list_decisions(
        access, before, PAGE_DECISIONS, filters.verdict, filters.kind, filters.person, filters.since, filters.until
    )
    names = await access.run(_names, [each.user_id for each in found.decisions if each.user_id is not None])
    is_kept = request.app.state.service.settings.decision_log_days > 0
    is_live = before is None and filters.until is None and (is_kept or bool(found.decisions))
    return page(
        request,
        "decisions/list.html",
        problem.status if problem else 200,
        screen="decisions",
        problem=problem and problem.context.get("field"),
        is_kept=is_kept,
        decisions=found.decisions,
        names=names,
        following=found.next,
        before=before,
        live_after=newest if is_live else None,
        filters=filters,
        typed={"verdict": verdict, "kind": kind, "person": person, "since": since, "until": until},
    )


def parse_filters(verdict: str, kind: str, person: str) -> Filters:
    """Raises InvalidRequest. A form sends the fields that nobody has filled in as empty texts."""
    for field, value, known in (("verdict", verdict, get_args(Verdict)), ("kind", kind, get_args(DecisionKind))):
        if value and value not in known:
            raise InvalidRequest(f"The {field} is one of: {', '.join(known)}.", field=field)
    return Filters(verdict or None, kind or None, person.strip() or None)  # type: ignore[arg-type]


def _time(text: str, field: str) -> datetime | None:
    """As an ``<input type=datetime-local>`` has it; the page sends it in UTC. Raises InvalidRequest."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidRequest(f"{field} is a time such as 2026-11-30T08:00.", field=field) from None
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def newest_id(gallery: Gallery) -> int:
    from face128.gallery.trail import decisions

    with gallery.database.reading() as connection:
        return decisions.newest_id(connection)


def _names(gallery: Gallery, user_ids: list[str]) -> dict[str, str]:
    from face128.gallery.rows.person_names import names_of

    with gallery.database.reading() as connection:
        return names_of(connection, user_ids)
