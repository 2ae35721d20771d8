"""The health of the gallery: what in it needs mending, jobs that post here, engines, the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page, redirect
from face128.api.routes import jobs
from face128.errors import Face128Error
from face128.gallery.trail.entry import EVERYBODY
from face128.service.gallery_access import CollectionAccess
from face128.service.measurements import Measured, Pause
from face128.service.overview import AUDIT
from face128.service.service import Service

if TYPE_CHECKING:
    from concurrent.futures import Future

    from face128.gallery.gallery import Gallery
    from face128.jobs.audit.gallery_audit import CurrentFinding, GalleryAudit

router = APIRouter(route_class=PageRoute, include_in_schema=False)

WAIT_S = 0.15
"""For an audit that is quickly made: of some hundred people it takes half as long."""

After = Annotated[
    int, Query(ge=0, le=2**53, description="Milliseconds since 1970: no measurement begun before counts.")
]


@dataclass(frozen=True)
class Findings:
    """Those of one kind."""

    kind: str
    count: int
    shown: Sequence[CurrentFinding]


@router.get("/console/health", dependencies=console_needs("gallery"))
async def health_page(
    request: Request, access: GalleryDep, service: ServiceDep, after: After = 0, part: Literal["", "jobs"] = ""
) -> Response:
    """``part``: for a page that is open already, the jobs alone."""
    if part:
        return page(request, "health/_jobs.html", jobs=(await jobs.list_jobs(access)).jobs)
    engines = service.engines
    values: dict[str, Any] = {
        "engines": engines.states(),
        "licences": engines.licences(),
        "decision_problem": engines.decision_problem() if service.settings.decision_models != "dlib" else None,
        "after": after,
    }
    try:
        values |= await _of_gallery(request, access, service, after) | {"problem": None}
    except Face128Error as error:  # the rest is what an operator needs just now
        values |= {"problem": str(error), "audit": None}
    audit: GalleryAudit | None = values["audit"]
    values["models"] = list(dict.fromkeys([*(audit.models if audit else ()), *values["licences"]]))
    return page(request, "health/health.html", screen="health", **values)


@router.post("/console/health/measure", dependencies=console_needs("gallery"))
async def measure_again(request: Request) -> Response:
    """The measurement begins with the page that follows: each worker that is asked for it makes its own."""
    return redirect(request, "health", after=str(int(datetime.now(UTC).timestamp() * 1000)))


@router.get("/console/health/measured", dependencies=console_needs("gallery"))
async def is_measured(access: GalleryDep, service: ServiceDep, request: Request, after: After = 0) -> Response:
    """For the module of the page: 204 while it is measured."""
    return Response(status_code=200 if _begin(request, access, service, after) is None else 204)


async def _of_gallery(request: Request, access: CollectionAccess, service: Service, after: int) -> dict[str, Any]:
    listed = (await jobs.list_jobs(access)).jobs
    facts = await access.run(_facts)
    running = _begin(request, access, service, after)
    if running is not None:
        await asyncio.wait({asyncio.wrap_future(running)}, timeout=WAIT_S)
    measured: Measured[GalleryAudit] | None = service.measurements.last(AUDIT, request.state.collection)
    audit = measured.result if measured else None
    return {
        "jobs": listed,
        **facts,
        "measured": measured,
        "running": running is not None and not running.done(),
        "audit": audit,
        "findings": await access.run(_findings, audit) if audit else [],
    }


def _begin(request: Request, access: CollectionAccess, service: Service, after: int) -> Future[None] | None:
    def job(pause: Pause) -> GalleryAudit:
        from face128.jobs.audit.gallery_audit import audit_gallery

        return audit_gallery(access.open(), pause)

    wanted = datetime.fromtimestamp(min(after / 1000, datetime.now(UTC).timestamp()), UTC)
    return service.measurements.begin(AUDIT, request.state.collection, job=job, after=wanted)


def _facts(gallery: Gallery) -> dict[str, Any]:
    return {"details": gallery.details(), "dialect": gallery.database.dialect}


def _findings(gallery: Gallery, audit: GalleryAudit) -> list[Findings]:
    """By kind. What was mended since is left out."""
    from face128.jobs.audit.gallery_audit import still_true

    current = still_true(gallery, audit)
    if any(finding.people for finding in current):
        gallery.accounts.note("list", person=EVERYBODY, details={"findings": len(current)})
    by_kind: dict[str, list[CurrentFinding]] = {kind: [] for kind in audit.counts}
    listed = {kind: sum(finding.kind == kind for finding in audit.findings) for kind in audit.counts}
    for finding in current:
        by_kind[finding.kind].append(finding)
    return [
        Findings(kind, audit.counts[kind] - listed[kind] + len(shown), shown)
        for kind, shown in by_kind.items()
        if shown
    ]
