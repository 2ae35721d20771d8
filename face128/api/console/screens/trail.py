"""The trail: who did what to whom, page by page; whether it is what was written; and all of it as a file."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page, redirect
from face128.api.routes.decisions import MAX_ID
from face128.errors import InvalidRequest
from face128.gallery.trail.entry import ACTIONS
from face128.service.gallery_access import CollectionAccess
from face128.service.measurements import Measured, Pause
from face128.service.overview import TRAIL_CHECK
from face128.service.service import Service

if TYPE_CHECKING:
    from concurrent.futures import Future

    from face128.gallery.gallery import Gallery
    from face128.gallery.trail.check import Checked
    from face128.gallery.trail.entry import Entry

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE_ENTRIES = 50
WAIT_S = 0.15
"""For a check that is quickly made: of some thousand entries."""

After = Annotated[int, Query(ge=0, le=2**53, description="Milliseconds since 1970: no check begun before counts.")]
Before = Annotated[int | None, Query(ge=1, le=MAX_ID)]


@router.get("/console/trail", dependencies=console_needs("admin"))
async def trail_page(
    request: Request,
    access: GalleryDep,
    service: ServiceDep,
    person: Annotated[str, Query(max_length=255)] = "",
    action: Annotated[str, Query(max_length=32)] = "",
    before: Before = None,
    after: After = 0,
) -> Response:
    """``person``: the user_id of somebody of the collection, who need not be enrolled any more."""
    person = person.strip()
    if action and action not in ACTIONS:
        raise InvalidRequest("There is no such action.", field="action")

    def read(gallery: Gallery) -> tuple[dict[str, Any], list[dict[str, Any]], int | None]:
        from face128.gallery.trail.reading import searched, state_of_trail

        with gallery.database.reading() as connection:
            state = state_of_trail(connection)
            found, following = searched(
                connection, PAGE_ENTRIES, before=before, person=person or None, action=action or None
            )
        return state, list(map(_shown, found)), following

    state, entries, following = await access.run(read)
    running = _begin(access, service, after) if state else None
    if running is not None:
        await asyncio.wait({asyncio.wrap_future(running)}, timeout=WAIT_S)
    measured: Measured[Checked] | None = service.measurements.last(TRAIL_CHECK) if state else None
    return page(
        request,
        "trail/trail.html",
        screen="trail",
        state=state,
        entries=entries,
        following=following,
        person=person,
        action=action,
        actions=ACTIONS,
        before=before,
        after=after,
        measured=measured,
        checked=measured.result if measured else None,
        running=running is not None and not running.done(),
    )


@router.post("/console/trail/check", dependencies=console_needs("admin"))
async def check_again(request: Request) -> Response:
    """The check begins with the page that follows: each worker that is asked for it makes its own."""
    return redirect(request, "trail", after=str(int(datetime.now(UTC).timestamp() * 1000)))


@router.get("/console/trail/checked", dependencies=console_needs("admin"))
async def is_checked(access: GalleryDep, service: ServiceDep, after: After = 0) -> Response:
    """For the module of the page: 204 while it is checked."""
    return Response(status_code=200 if _begin(access, service, after) is None else 204)


@router.get("/console/trail/export", dependencies=console_needs("admin"))
async def export(access: GalleryDep, format: Literal["csv", "jsonl"] = "jsonl") -> Response:
    """All entries, of all collections, with their hashes; as JSON as ``face128 trail export`` writes them."""
    first, head = await access.run(_first_block)
    media_type = "text/csv; charset=utf-8" if format == "csv" else "application/x-ndjson"
    name = f"face128-trail-{head}.{format}"
    return StreamingResponse(
        _written(access, format, first, head),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _shown(entry: Entry) -> dict[str, Any]:
    """For the template. What somebody has edited past face128 may be of any form."""
    from face128.gallery.trail.reading import readable

    shown = readable(entry)
    details = shown["details"]
    try:
        moment: datetime | None = datetime.fromisoformat(entry.at).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    return shown | {"time": moment, "details": details if isinstance(details, dict) else {"unreadable": details}}


def _begin(access: CollectionAccess, service: Service, after: int) -> Future[None] | None:
    def job(pause: Pause) -> Checked:
        from face128.gallery.trail.check import check

        start = time.monotonic()

        def rest(_: int) -> None:
            nonlocal start
            if pause(time.monotonic() - start):
                raise InterruptedError
            start = time.monotonic()

        with access.open().database.reading() as connection:
            return check(connection, advance=rest)

    wanted = datetime.fromtimestamp(min(after / 1000, datetime.now(UTC).timestamp()), UTC)
    return service.measurements.begin(TRAIL_CHECK, job=job, after=wanted)


def _first_block(gallery: Gallery) -> tuple[list[Entry], int]:
    from face128.gallery.trail.reading import block, state_of_trail

    with gallery.database.reading() as connection:
        return block(connection), state_of_trail(connection).get("entries", 0)


def _block(gallery: Gallery, last: int) -> list[Entry]:
    from face128.gallery.trail.reading import block

    with gallery.database.reading() as connection:
        return block(connection, last)


async def _written(
    access: CollectionAccess, format: Literal["csv", "jsonl"], entries: list[Entry], head: int
) -> AsyncIterator[str]:
    """Block by block, each in a transaction of its own: a slow client holds none. Up to the entry ``head``."""
    from face128.gallery.trail.reading import as_stored
    from face128.jobs.spreadsheet import BYTE_ORDER_MARK

    if format == "csv":
        yield BYTE_ORDER_MARK + _csv([list(asdict(entries[0]))] if entries else [])
    last = 0
    while entries := [entry for entry in entries if last < entry.seq <= head]:
        if format == "csv":
            yield _csv([list(asdict(entry).values()) for entry in entries])
        else:
            yield "".join(as_stored(entry) + "\n" for entry in entries)
        last = entries[-1].seq
        entries = await access.run(_block, last)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    from face128.jobs.spreadsheet import inert

    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([inert(value) for value in row] for row in rows)
    return text.getvalue()
