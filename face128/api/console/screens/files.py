"""The files that pages load, and what is under /console but no page."""

from __future__ import annotations

import mimetypes

from fastapi import APIRouter, Request, Response

from face128.api.console.access import console_needs
from face128.api.console.pages import STATIC, PageRoute, static_version
from face128.errors import NotFound

router = APIRouter(route_class=PageRoute, include_in_schema=False)
rest = APIRouter(route_class=PageRoute, include_in_schema=False)

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_FOR_A_YEAR = "public, max-age=31536000, immutable"


@router.get("/console/static/{version}/{name}")
async def static_file(version: str, name: str) -> Response:
    """Anybody may read them: they are the same in every installation."""
    if name not in {entry.name for entry in STATIC.iterdir()}:
        raise NotFound()
    # Under another version, say during an update, the file is not the one that the page means.
    caching = _FOR_A_YEAR if version == static_version() else "no-store"
    media_type = mimetypes.guess_type(name)[0]
    return Response((STATIC / name).read_bytes(), media_type=media_type, headers={"Cache-Control": caching})


@rest.api_route("/console", methods=_METHODS, dependencies=console_needs(None))
@rest.api_route("/console/{path:path}", methods=_METHODS, dependencies=console_needs(None))
async def not_found(request: Request) -> Response:
    """No such page, or none with this method: as a page, with the headers of all pages."""
    raise NotFound()
