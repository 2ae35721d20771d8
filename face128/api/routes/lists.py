"""Uploaded lists of members: a backend sends its list once, and each /match names its digest."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from face128.api.auth.guard import ServiceDep, needs
from face128.api.openapi.body_schemas import LIST_BODY
from face128.api.requests.bodies import receive_body
from face128.api.requests.query import SkipInvalid
from face128.api.responses.schemas import REFUSED, UploadedListState, problems
from face128.api.responses.skipped import skipped_members
from face128.domain.model_card import DLIB, MODEL_NAMES, find_card
from face128.errors import InvalidRequest, UnknownList
from face128.match_body.uploaded_list import DIGEST, UploadedList

router = APIRouter(responses=REFUSED, tags=["lists"])

Digest = Annotated[str, Path(pattern=f"^{DIGEST.pattern}$", description="sha256- and the SHA-256 of the body in hex.")]


@router.put(
    "/lists/{digest}",
    response_model=UploadedListState,
    responses={
        200: {"description": "The list is known already."},
        201: {"model": UploadedListState, "description": "The list is kept."},
        **problems(400, 409, 413, 422, 503),
    },
    openapi_extra=LIST_BODY,
    dependencies=needs("match"),
)
async def upload_list(
    request: Request,
    service: ServiceDep,
    digest: Digest,
    skip_invalid: SkipInvalid = False,
    model: Annotated[str, Query(description="Model of the descriptors whose member names none.")] = DLIB.name,
) -> JSONResponse:
    """Upload a list: the JSON array of members as `/match` takes it in `enrolled`.

    It is kept in memory until it is not used for `expires_in` seconds, or others need the room. Only the key that
    uploaded it can use it. A restarted service does not know it: upload it again on 404 `unknown_list`.
    """
    card = find_card(model)
    if card is None:
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="model")
    owner, known = request.state.owner, service.list_cache.has_upload(request.state.owner, digest)
    service.refuse_if_match_queue_full()  # before the list is sent, and again when it has arrived
    body = bytearray()
    await receive_body(request, service.settings.max_match_bytes, body.extend)
    service.refuse_if_match_queue_full()
    new = UploadedList(owner, digest, body, max_members=service.settings.max_members, skip_invalid=skip_invalid)
    members = await to_thread.run_sync(service.store_upload, new, card, limiter=service.match_limiter)
    answer: dict[str, Any] = {
        "digest": digest,
        "members": len(members.reg_nos),
        "descriptors": members.descriptor_count,
    }
    answer |= skipped_members(members) | {"expires_in": service.settings.list_seconds}
    return JSONResponse(answer, 200 if known else 201)


@router.head("/lists/{digest}", status_code=200, responses=problems(404, 422), dependencies=needs("match"))
async def check_list(request: Request, service: ServiceDep, digest: Digest) -> Response:
    """Whether the list is kept: 200, or 404 `unknown_list`."""
    if not service.list_cache.has_upload(request.state.owner, digest):
        raise UnknownList()
    return Response()


@router.delete("/lists/{digest}", status_code=204, responses=problems(404, 422), dependencies=needs("match"))
async def delete_list(request: Request, service: ServiceDep, digest: Digest) -> None:
    """Drop the list now."""
    service.list_cache.drop_upload(request.state.owner, digest)
