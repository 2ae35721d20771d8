"""The people: a page of them by key, a search, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page
from face128.api.routes import people

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE_PEOPLE = 50

Search = Annotated[str, Query(max_length=people.MAX_TEXT_CHARACTERS)]
After = Annotated[str | None, Query(min_length=1, max_length=people.MAX_TEXT_CHARACTERS)]


@router.get("/console/people", dependencies=console_needs("gallery"))
async def people_page(request: Request, access: GalleryDep, after: After = None, q: Search = "") -> Response:
    found = await people.list_people(access, after, PAGE_PEOPLE, q)
    return page(
        request,
        "people/list.html",
        screen="people",
        people=found.people,
        count=None if q else await access.run(_count),
        following=found.next,
        after=after,
        q=q.strip(),
    )


def _count(gallery: Gallery) -> int:
    from face128.gallery.people import people_pages

    return people_pages.count(gallery.database)
