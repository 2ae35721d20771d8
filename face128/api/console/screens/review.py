"""Decisions that were to be looked at again: judged one by one, and what can be learnt from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

from fastapi import APIRouter, Query, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import console_needs
from face128.api.console.forms import read_fields
from face128.api.console.pages import PageRoute, page, redirect
from face128.api.routes.decisions import MAX_ID
from face128.domain.decision_rule import Judgement, Rule
from face128.errors import Face128Error, InvalidRequest, NotFound
from face128.gallery.trail.entry import EVERYBODY
from face128.service.gallery_access import CollectionAccess

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE_DECISIONS = 20
SHOWN_JUDGEMENTS = 5  # the last ones, which can be undone
MAX_LEARNT_FROM = 2_000  # judgements, of the newest decisions

DecisionId = Annotated[int | None, Query(ge=1, le=MAX_ID)]


@dataclass(frozen=True)
class Refused:
    """What somebody sent that was not taken."""

    decision: int
    typed: str
    sentence: str
    """A key of the catalogue."""


@router.get("/console/review", dependencies=console_needs("gallery"))
async def review_page(request: Request, access: GalleryDep, before: DecisionId = None) -> Response:
    return await _page(request, access, before)


@router.post("/console/review", dependencies=console_needs("gallery"))
async def judge(request: Request, access: GalleryDep) -> Response:
    """The fields: ``id`` of the decision, ``judgement`` (right, wrong, person, undo), ``user_id`` for person."""
    fields = await read_fields(request)
    decision = _decision_id(fields)
    judgement, person = fields.get("judgement", ""), fields.get("user_id", "")
    if judgement not in (*get_args(Judgement), "undo"):
        raise InvalidRequest("The judgement is right, wrong, person or undo.", field="judgement")

    def change(gallery: Gallery) -> None:
        from face128.gallery.trail import reviews

        with gallery.database.writing() as connection:
            if judgement == "undo":
                reviews.undo(connection, decision)
            else:
                reviews.judge(connection, decision, judgement, person if judgement == "person" else None)  # type: ignore[arg-type]

    try:
        await access.change(change)
    except (NotFound, InvalidRequest) as error:
        named = error.context.get("field") == "user_id"
        sentence = "nobody" if named and person else "who" if named else "gone"
        return await _page(request, access, None, error, Refused(decision, person, f"review.{sentence}"))
    return redirect(request, "review", done="undone" if judgement == "undo" else "judged", before=fields.get("before"))


def _decision_id(fields: Mapping[str, str]) -> int:
    text = fields.get("id", "")
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= MAX_ID):
        raise InvalidRequest("The id is that of a decision.", field="id")
    return int(text)


async def _page(
    request: Request,
    access: CollectionAccess,
    before: int | None,
    error: Face128Error | None = None,
    refused: Refused | None = None,
) -> Response:
    settings = request.app.state.service.settings
    values = await access.run(_read, before, settings.rule)
    return page(
        request,
        "review/review.html",
        error.status if error else 200,
        screen="review",
        is_kept=settings.decision_log_days > 0,
        rule=settings.rule,
        before=before,
        refused=refused,
        **values,
    )


def _read(gallery: Gallery, before: int | None, rule: Rule) -> dict[str, Any]:
    from face128.gallery.rows.person_names import names_of
    from face128.gallery.trail import reviews
    from face128.gallery.trail.review_summary import summarise

    with gallery.database.reading() as connection:
        queue = reviews.queue(connection, PAGE_DECISIONS + 1, before)
        shown = queue[:PAGE_DECISIONS]
        judged = reviews.judged(connection, MAX_LEARNT_FROM)
        summary = summarise(judged, rule)
        last = sorted(judged, key=lambda each: each.at, reverse=True)[:SHOWN_JUDGEMENTS]
        people = {each.user_id for each in shown} | {
            who for each in last for who in (each.decision.user_id, each.person)
        }
        if summary is not None:
            people |= {who for who, _ in summary.hardly_recognised}
            people |= {who for *pair, _ in summary.mistaken for who in pair}
        values = {
            "queue": shown,
            "following": shown[-1].id if len(queue) > PAGE_DECISIONS else None,
            "waiting": reviews.count_waiting(connection),
            "last": last,
            "summary": summary,
            "names": names_of(connection, {who for who in people if who is not None}),
        }
    gallery.accounts.note("list", person=EVERYBODY, details={"decisions": len(shown) + len(judged)})
    return values
