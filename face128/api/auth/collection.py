"""The collection of a request: the one it names, or that of its key."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from face128.api_keys import NAME, ApiKey
from face128.domain.collection import DEFAULT_COLLECTION, check_collection
from face128.errors import Forbidden, InvalidRequest
from face128.service.gallery_access import CollectionAccess

_HEADER = "x-face-collection"
_QUERY = "collection"
_PATTERN = "^" + NAME.pattern.replace("{1,", "{0,") + "$"  # documented: an empty name counts as none


def requested_collection(request: Request, key: ApiKey | None) -> str:
    """The collection that a request with this key is about. An empty name counts as none.

    Raises InvalidRequest if two collections are named, or one by no valid name; Forbidden if it is not the key's.
    """
    named = {*request.headers.getlist(_HEADER)}
    if request.scope["query_string"]:  # spare the parsing
        named.update(request.query_params.getlist(_QUERY))
    named.discard("")
    if len(named) > 1:
        raise InvalidRequest("X-Face-Collection and ?collection= name two collections.", field="collection")
    own = key.collection if key else None
    name = check_collection(named.pop()) if named else own or DEFAULT_COLLECTION
    if own is not None and name != own:
        raise Forbidden("This API key is bound to another collection.", field="collection")
    return name


async def get_gallery(
    request: Request,
    collection: Annotated[
        str,
        Query(
            description="The site or tenant whose people this is about; or the header X-Face-Collection. "
            "Default: the key's, or the default collection.",
            json_schema_extra={"pattern": _PATTERN},
        ),
    ] = DEFAULT_COLLECTION,
) -> CollectionAccess:
    """The gallery of the request's collection. The parameter is for OpenAPI: the guard has read and checked it."""
    return gallery_of(request)


def gallery_of(request: Request) -> CollectionAccess:
    """As get_gallery, for routes that do without FastAPI's dependencies. The guard must have checked the request."""
    access: CollectionAccess = request.app.state.service.gallery.of(request.state.collection)
    return access


GalleryDep = Annotated[CollectionAccess, Depends(get_gallery)]
