"""The small picture of an enrolled photo, where one is kept: FACE128_THUMBNAILS_HOURS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/console/thumbnail", dependencies=console_needs("gallery"))
async def thumbnail(access: GalleryDep, id: Annotated[str, Query(max_length=255)]) -> Response:
    """``id`` is that of the photo's record. No browser keeps it."""

    def read(gallery: Gallery) -> bytes:
        from face128.gallery.people import thumbnails

        return thumbnails.show(gallery, id)

    return Response(await access.run(read), media_type="image/jpeg")
