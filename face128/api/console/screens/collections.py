"""The collections: choose the one whose people the pages are about."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page
from face128.api.routes import collections
from face128.domain.collection import DEFAULT_COLLECTION

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/console/collections", dependencies=console_needs("gallery"))
async def collections_page(request: Request) -> Response:
    """All of them, whatever the request names; only its own to a key that is bound to one."""
    bound = request.state.key.collection if request.state.key else None
    access = request.app.state.service.gallery.of(bound or DEFAULT_COLLECTION)
    found = await collections.list_collections(access)
    return page(request, "people/collections.html", screen="people", collections=found.collections, bound=bound)
