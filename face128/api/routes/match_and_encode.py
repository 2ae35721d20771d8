"""The original service's contract: POST /match and POST /encode-image."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from face128.api.auth.collection import gallery_of, get_gallery
from face128.api.auth.guard import ServiceDep, check_request, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi.body_schemas import IMAGE_BODY, MATCH_BODY
from face128.api.requests.bodies import announced_bytes, read_body, read_image, receive_body
from face128.api.requests.query import EngineName, Explain, Faces, SkipInvalid, WithCompanions, WithQuality, flag
from face128.api.responses.schemas import REFUSED, Encoded, Matched, NotMatched, problems
from face128.api.responses.skipped import skipped_members
from face128.api.shadow_decisions import shadow_decisions
from face128.domain.members import MatchRequest
from face128.domain.probe import Probe
from face128.encoding.encode import encode
from face128.encoding.passes import Passes
from face128.match_body.incoming_body import IncomingBody
from face128.match_body.json_document import Body
from face128.match_body.uploaded_list import NotParsed
from face128.matching.decision import decide, has_cohort
from face128.matching.outcome import Decision
from face128.service.gallery_access import CollectionAccess
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

router = APIRouter(responses=REFUSED, tags=["original fallback"])

SMALL_BODY_BYTES = 64 * 1024  # parsed and decided in less time than it takes to wake a thread
SMALL_LIST_ROWS = 1000  # descriptors of a cached list that are searched in less time than that


class MatchRoute(APIRoute):
    """Calls the endpoint without FastAPI's dependencies and exit stacks: they take longer than a small decision."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        check_request(request, "match", {})
        explain, skip_invalid = flag(request, "explain"), flag(request, "skip_invalid")
        response = await match(request, request.app.state.service, explain, skip_invalid)
        await response(scope, receive, send)


async def match(
    request: Request,
    service: ServiceDep,
    explain: Explain = False,
    skip_invalid: SkipInvalid = False,
) -> JSONResponse:
    """Whose face is this? The nearest enrolled member within the threshold (0.38, inclusive), or `{"match": false}`.

    A descriptor is a list of 128 numbers, the object that `JSON.stringify(Float32Array)` makes, or base64 of
    little-endian float32. A member may carry `descriptors: [...]`; a member with `descriptor: null` is passed over.
    `enrolled_ref` is the digest of a list that was uploaded to `/lists/{digest}`. Without both the gallery is searched.
    With `"decision": {"rule": "cohort", "alpha": 0.01}` the threshold is learnt from the members: at most about this
    share of strangers who resemble them is accepted.
    """
    asked = await _receive(service, request, skip_invalid)
    access = gallery_of(request)
    decision = await _decide(service, access, asked, explain, keep=True)
    metrics_of(request).count_decision(decision.model, decision.distance, decision.matched)
    answer = decision.answer(explain=explain)
    if skip_invalid:
        answer |= skipped_members(asked.enrolled)

    def decide_again(probe: Probe) -> Awaitable[Decision]:
        return _decide(service, access, replace(asked, probe=probe), False)

    task = shadow_decisions(request, decision, asked.probe, decide_again)
    return JSONResponse(answer, background=task)  # no response model: exactly these fields


router.add_api_route(
    "/match",
    match,
    methods=["POST"],
    route_class_override=MatchRoute,
    responses={200: {"model": Matched | NotMatched}, **problems(400, 409, 413, 422, 503)},
    openapi_extra=MATCH_BODY,
    dependencies=[*needs("match"), Depends(get_gallery)],
)


async def _receive(service: Service, request: Request, skip_invalid: bool) -> MatchRequest:
    announced, max_bytes = announced_bytes(request), service.settings.max_match_bytes
    options = request.state.owner, skip_invalid
    if 0 < announced <= SMALL_BODY_BYTES:
        return await _parse_small(service, await read_body(request, max_bytes), *options)
    if announced:
        service.refuse_if_match_queue_full()  # before the list is sent, and again when it has arrived
    body = IncomingBody(service.list_cache)
    await receive_body(request, max_bytes, body.append)
    if (asked := body.cached_request(service.settings.rule, skip_invalid)) is not None:
        return asked
    if body.size <= SMALL_BODY_BYTES:
        return await _parse_small(service, body.whole(), *options)
    service.refuse_if_match_queue_full()
    # Not in the photo pool: a match never waits for photos.
    return await to_thread.run_sync(service.parse_and_cache, body.whole(), *options, limiter=service.match_limiter)


async def _parse_small(service: Service, body: Body, owner: str, skip_invalid: bool) -> MatchRequest:
    try:
        return service.parse_match(body, owner, skip_invalid)
    except NotParsed:
        parse = partial(service.parse_match, body, owner, skip_invalid, wait=True)
        return await to_thread.run_sync(parse, limiter=service.match_limiter)


async def _decide(
    service: Service, access: CollectionAccess, asked: MatchRequest, explain: bool, *, keep: bool = False
) -> Decision:
    """Decide where it takes the least time: here, in a thread, or in the gallery's threads.

    ``keep``: it is answered, and kept if FACE128_DECISION_LOG_DAYS says so. What is decided on a posted list never is:
    the service does not know those members.
    """
    members, order, is_cohort = asked.enrolled, service.settings.decision_models, asked.rule.name == "cohort"
    if members is None:
        template = asked.template

        def search(gallery: Gallery) -> Decision:
            decided = gallery.match(asked.probe, asked.thresholds, asked.rule, template=template, explain=explain)
            if keep:
                gallery.accounts.keep_search(decided)
            return decided

        return await access.run(search)
    if members.descriptor_count <= SMALL_LIST_ROWS and not explain and (not is_cohort or has_cohort(asked)):
        return decide(asked, order=order)
    if explain or is_cohort:
        # In threads of its own: a cohort compares all pairs of the list.
        job = partial(decide, asked, service.cohort_builder, order=order, explain=explain)
        return await to_thread.run_sync(job, limiter=service.cohort_limiter)
    return await to_thread.run_sync(partial(decide, asked, order=order), limiter=service.match_limiter)


@router.post(
    "/encode-image",
    response_model=Encoded,
    response_model_exclude_unset=True,
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra=IMAGE_BODY,
    dependencies=needs("encode", face_detected=False),
)
async def encode_image(
    request: Request,
    service: ServiceDep,
    faces: Faces = "one",
    num_jitters: Annotated[int, Query(ge=1, le=100, description="Above 1: the mean of so many moved copies.")] = 1,
    passes: Annotated[
        Passes | None, Query(description="mirror: the mean of the face and its mirror image. Default: FACE128_PASSES.")
    ] = None,
    quality: WithQuality = False,
    companions: WithCompanions = False,
    engine: EngineName = None,
) -> dict[str, Any]:
    """A photo of one face in, its descriptor out. Multipart `image` or `file`, or JSON `{"image_base64": ...}`.

    With `?companions=true` `companions` has the descriptors of the same face by other networks, by their models' names.
    """
    loaded = service.engines.get(engine, passes)
    others = service.engines.companions(engine, passes) if companions else []
    image = await read_image(request, service.limits)
    job = partial(encode, companions=others)
    encoding = await service.run(job, loaded, image, service.limits, faces, num_jitters, None, quality)
    return ({"companions": {}} if companions else {}) | encoding.answer()
