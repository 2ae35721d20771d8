"""GET /collections: the sites or tenants that the gallery has people of."""

from __future__ import annotations

from fastapi import APIRouter

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import needs
from face128.api.responses import schemas
from face128.api.responses.schemas import REFUSED, problems

router = APIRouter(responses=REFUSED, tags=["collections"])


@router.get("/collections", responses=problems(422, 503), dependencies=needs("gallery"))
async def list_collections(access: GalleryDep) -> schemas.Collections:
    """The collections that have any faces, and how many. The name of the default one is empty.

    A key that is bound to a collection is told of that one alone, and so is a request that names one.
    """
    found = await access.run(lambda gallery: gallery.collections())
    return schemas.Collections(
        collections=[schemas.Collection(collection=name, faces=count) for name, count in found.items()]
    )
