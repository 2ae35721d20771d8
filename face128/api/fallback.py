"""The original service's contract: POST /match and POST /encode-image."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from face128.api import examples
from face128.api.answers import error_fields
from face128.api.auth import ServiceDep, needs
from face128.api.metrics import metrics_of
from face128.api.parameters import EngineName, Faces
from face128.api.schemas import REFUSED, Encoded, Matched, NotMatched, problems
from face128.api.uploads import announced_bytes, read_image, read_into
from face128.bodies import Memory
from face128.encoding import encode
from face128.enrolled import MatchRequest
from face128.matching import Decision, nearest

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
    announced = announced_bytes(request)
    if announced > SMALL_BODY:
        service.refuse_if_lists_wait()  # before the list is sent, and again when it is there
    memory = service.bodies.lend(announced)
    length = await read_into(memory.room, request, service.settings.max_match_bytes)

    def decide() -> tuple[MatchRequest, Decision | None]:
        asked = service.read(memory, length)
        later = asked.enrolled is None or explain or asked.rule.name == "cohort"
        return asked, None if later else nearest(asked)

    def decide_and_keep() -> tuple[MatchRequest, Decision | None, list[tuple[Memory, int]]]:
        asked, decision = decide()
        return asked, decision, service.lists.keep(memory, length, asked)

    if length <= SMALL_BODY:
        asked, decision = decide()
        service.bodies.take_back(memory, length)  # nothing points into it any more
    else:
        service.refuse_if_lists_wait()
        # Never in the pool that encodes: a match does not wait behind photos, nor behind all pairs of another's list.
        asked, decision, free = await to_thread.run_sync(decide_and_keep, limiter=service.matching)
        for each in free:
            service.bodies.take_back(*each)
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
