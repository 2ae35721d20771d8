"""/health and /ready for load balancers and supervisors (also by HEAD); /metrics for Prometheus."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BeforeValidator

from face128 import __version__
from face128.api.auth.collection import gallery_of
from face128.api.auth.guard import ServiceDep, check_request, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.responses.schemas import REFUSED, Health, Ready, problems
from face128.errors import NotReady

router = APIRouter(tags=["operations"])

Details = Annotated[
    bool,
    BeforeValidator(lambda value: value == "" or value),  # "?details" alone
    Query(description="Also say what an operator should know of the gallery. If keys are set: scope `admin`."),
]


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(service: ServiceDep) -> Health:
    """The process is alive and answers. `model_loaded`: it can encode photos."""
    engines = service.engines
    loaded = engines.ready
    return Health(
        status="healthy",
        model=engines.get().card.name if loaded else engines.default,
        model_loaded=loaded,
        version=__version__,
        licences=engines.licences(),
    )


@router.get(
    "/metrics",
    response_class=Response,  # no media type here: the error answers are JSON
    responses={
        200: {"description": "Prometheus's text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **REFUSED,
    },
    dependencies=needs("admin"),
)
async def metrics(request: Request) -> Response:
    """Counts and times for Prometheus, over all workers. If keys are set, it needs one with the scope `admin`."""
    return Response(await to_thread.run_sync(metrics_of(request).exposition), media_type=CONTENT_TYPE_LATEST)


@router.head("/ready", include_in_schema=False)
@router.get("/ready", response_model_exclude_none=True, responses={**problems(503), **REFUSED})
async def ready(request: Request, service: ServiceDep, details: Details = False) -> Ready:
    """The engine is loaded, and the gallery, if there is one, can be used: send photos now. Otherwise 503.

    `decision_models` says what keeps FACE128_DECISION_MODELS from being used; it is absent where that is `dlib`.
    With FACE128_READY_NEEDS_GALLERY=0 the gallery's problem is told beside `"status": "ready"`. With `?details` it
    has `details`: what an operator should know of the gallery.
    """
    if details:
        check_request(request, "admin", {})
    engines = service.engines
    if not engines.ready:
        raise NotReady(engines.load_errors.get(engines.default))
    facts: dict[str, Any] = {"engines": engines.states()}
    if service.settings.decision_models != "dlib":
        facts["decision_models"] = engines.decision_problem() or "ready"
    in_use, problem = service.gallery.in_use, await service.gallery.problem()
    if problem is None:
        if details and in_use:
            facts["details"] = await gallery_of(request).run(lambda gallery: gallery.details())
        return Ready(status="ready", **facts, database="ready" if in_use else None)
    database = problem.code.removeprefix("gallery_")
    if in_use and service.settings.ready_needs_gallery:
        raise type(problem)(str(problem), database=database)
    return Ready(status="ready", **facts, database=database, database_error=str(problem))
