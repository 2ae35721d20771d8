"""Two people who are one: choose the other one, see who becomes whom, merge."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import console_needs
from face128.api.console.forms import read_fields
from face128.api.console.pages import PageRoute, page, redirect
from face128.api.console.screens.people import After, Search
from face128.api.console.screens.person import PersonId, needed
from face128.api.routes import people
from face128.errors import InvalidRequest

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE_OTHERS = 20


@router.get("/console/person/merge", dependencies=console_needs("gallery"))
async def merge_page(
    request: Request,
    access: GalleryDep,
    id: PersonId,
    into: str | None = None,
    q: Search = "",
    after: After = None,
) -> Response:
    """Without ``into``: a search for the other one."""
    person = await people.read_person(id, access)
    if into is not None:
        if into == id:
            raise InvalidRequest("A person cannot be merged into themselves.", field="into")
        other = await people.read_person(into, access)
        nearest = await access.run(lambda gallery: gallery.nearest_photos(id, into))
        return page(request, "people/merge.html", screen="people", person=person, other=other, nearest=nearest)
    found = await people.list_people(access, after, PAGE_OTHERS, q)
    return page(
        request,
        "people/merge_with.html",
        screen="people",
        person=person,
        others=[one for one in found.people if one.user_id != person.user_id],
        following=found.next,
        after=after,
        q=q.strip(),
    )


@router.post("/console/person/merge", dependencies=console_needs("gallery"))
async def merge(request: Request, access: GalleryDep) -> Response:
    fields = await read_fields(request)
    into = needed(fields, "into")
    merged = await people.merge(access, needed(fields, "id"), into)
    return redirect(request, "person", id=into, done="merged_pending" if merged.pending else "merged")
