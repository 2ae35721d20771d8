"""GET /decisions: what the service has decided, where FACE128_DECISION_LOG_DAYS keeps it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BeforeValidator

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import needs
from face128.api.responses import schemas
from face128.api.responses.schemas import REFUSED, problems
from face128.domain.decision_rule import DecisionKind, Verdict
from face128.gallery.trail.entry import EVERYBODY

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.trail.decisions import KeptDecision

router = APIRouter(responses=REFUSED, tags=["enrol and match"])

MAX_PAGE_DECISIONS = 1000
MAX_ID = 2**63 - 1
_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\S+")


def _check_iso_8601(value: object) -> object:
    """Pydantic also takes numbers for times."""
    if isinstance(value, str) and not _ISO_8601.fullmatch(value):
        raise ValueError("It is a time in ISO 8601 with its zone, such as 2026-11-30T00:00:00Z")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_check_iso_8601)]


@router.get("/decisions", responses=problems(422, 503), dependencies=needs("gallery"))
async def list_decisions(
    access: GalleryDep,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_DECISIONS)] = 100,
    verdict: Annotated[Verdict | None, Query(description="Only decisions with this verdict.")] = None,
    kind: Annotated[
        DecisionKind | None, Query(description="Only searches among all, or only comparisons with one person.")
    ] = None,
    user_id: Annotated[
        str | None, Query(min_length=1, max_length=255, description="Only decisions about this person.")
    ] = None,
    since: Annotated[Time | None, Query(description="ISO 8601 with its zone: only from then on.")] = None,
    until: Annotated[Time | None, Query(description="Only before then.")] = None,
) -> schemas.Decisions:
    """The decisions that are kept, the newest first, some at a time: by `next`, which is null after the last of them.

    A decision has no descriptor and no photo. `user_id` is null where nobody was found.
    """

    def read(gallery: Gallery) -> list[KeptDecision]:
        found = gallery.accounts.decisions(
            limit, before=before, verdict=verdict, kind=kind, user_id=user_id, since=since, until=until
        )
        action, person = ("list", EVERYBODY) if user_id is None else ("read", user_id)
        gallery.accounts.note(action, person=person, details={"decisions": len(found)})
        return found

    found = await access.run(read)
    following = found[-1].id if len(found) == limit else None
    return schemas.Decisions(decisions=list(map(answered, found)), next=following)


def answered(kept: KeptDecision) -> schemas.DecisionKept:
    return schemas.DecisionKept(
        id=kept.id,
        at=kept.at,
        kind=kept.kind,
        user_id=kept.user_id,
        verdict=kept.verdict,
        distance=kept.distance,
        stranger_risk=kept.risk,
        rule=kept.rule,
        model=kept.model,
        key=kept.actor,
        request_id=kept.request_id,
    )
