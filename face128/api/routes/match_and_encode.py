"""The original service's contract: POST /match and POST /encode-image."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi import examples
from face128.api.requests.bodies import announced_bytes, read_body, read_image
from face128.api.requests.query import EngineName, Faces
from face128.api.responses.error_handlers import error_fields
from face128.api.responses.schemas import REFUSED, Encoded, Matched, NotMatched, problems
from face128.domain.members import MatchRequest
from face128.encoding.encode import encode
from face128.matching.decision import Decision, nearest

router = APIRouter(responses=REFUSED, tags=["original fallback"])

# A body of this many bytes is parsed and decided in less time than it takes to wake a thread for it.
SMALL_BODY = 64 * 1024


@router.post(
    "/match",
    responses={200: {"model": Matched | NotMatched}, **problems(400, 409, 413, 422, 503)},
    openapi_extra={"requestBody": examples.MATCH},
    dependencies=[needs("match")],
)
async def match(
    request: Request,
    service: ServiceDep,
    explain: Annotated[bool, Query(description="Also say how near, and who came next.")] = False,
) -> JSONResponse:
    """Whose face is this? The nearest enrolled member within the threshold (0.38, inclusive), or `{"match": false}`.

    A descriptor is a list of 128 numbers, the object that `JSON.stringify(Float32Array)` makes, or base64 of
    little-endian float32. A member may carry `descriptors: [...]`; `descriptor: null` is passed over. Without
    `enrolled` the gallery is searched.
    With `"decision": {"rule": "cohort", "alpha": 0.01}` the members themselves say how near a stranger comes, and at
    most that share of strangers like them is let in.
    """
    if announced_bytes(request) > SMALL_BODY:
        service.refuse_if_lists_wait()  # before the list is sent, and again when it is there
    body = await read_body(request, service.settings.max_match_bytes)

    def decide(asked: MatchRequest) -> tuple[MatchRequest, Decision | None]:
        later = asked.enrolled is None or explain or asked.rule.name == "cohort"
        return asked, None if later else nearest(asked)

    if len(body) <= SMALL_BODY:
        asked, decision = decide(service.parse_match(body))
    else:
        service.refuse_if_lists_wait()
        # Never in the pool that encodes: a match does not wait behind photos, nor behind all pairs of another's list.
        asked, decision = await to_thread.run_sync(
            lambda: decide(service.parse_match_cached(body)), limiter=service.matching
        )
    if decision is None and asked.enrolled is None:
        decision = await service.gallery.run(
            lambda gallery: gallery.match(asked.probe, asked.card, asked.threshold, asked.rule, explain=explain)
        )
    elif decision is None:
        stand = partial(nearest, asked, service.cohorts, explain=explain)
        decision = await to_thread.run_sync(stand, limiter=service.standing)
    metrics_of(request).decided(decision.model, decision.distance, decision.matched)
    return JSONResponse(decision.answer(explain=explain))  # these fields and no others: no response model


@router.post(
    "/encode-image",
    response_model=Encoded,
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra={"requestBody": examples.IMAGE},
    dependencies=[needs("encode"), Depends(error_fields(face_detected=False))],
)
async def encode_image(
    request: Request,
    service: ServiceDep,
    faces: Faces = "one",
    num_jitters: Annotated[int, Query(ge=1, le=100, description="Above 1: the mean of so many moved copies.")] = 1,
    engine: EngineName = None,
) -> dict[str, Any]:
    """A photo of one face in, its descriptor out. Multipart `image` or `file`, or JSON `{"image_base64": ...}`."""
    loaded = service.engine(engine)
    image = await read_image(request, service.limits)
    encoding = await service.run(encode, loaded, image, service.limits, faces, num_jitters)
    return encoding.answer()
