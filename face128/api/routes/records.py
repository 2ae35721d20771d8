"""The routes of the records service: records of faces in the gallery."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query, Request

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi.body_schemas import RECORD_BODY, RECORD_LINKS, RECORD_MATCH_BODY
from face128.api.requests.forms import read_photos
from face128.api.requests.person_terms import enrolled_terms
from face128.api.requests.query import EngineName, Force, ProbeCompanions
from face128.api.responses import schemas
from face128.api.responses.photo_facts import answered_facts
from face128.api.responses.schemas import PHOTO_ERRORS, REFUSED, problems
from face128.api.shadow_decisions import shadow_decisions
from face128.domain import thresholds
from face128.domain.probe import Probe
from face128.encoding.encode import Encoding, encode
from face128.engines.base import Engine
from face128.errors import BadImage, InvalidRequest, UnsupportedFormat
from face128.gallery.trail.entry import EVERYBODY
from face128.matching.outcome import Decision
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.rows.records import Person, Record, SearchHit
    from face128.gallery.search.searches import Recognised

router = APIRouter(responses=REFUSED, tags=["records"])

# The records service has no upper bounds: more than these is answered with as many.
MAX_TOP_K = 100
MAX_PAGE_RECORDS = 1000
MAX_COUNT = 2**31 - 1  # of a parameter that counts records


@router.post(
    "/records",
    response_model_exclude_unset=True,
    responses={200: {"links": RECORD_LINKS}, **problems(409), **PHOTO_ERRORS},
    openapi_extra=RECORD_BODY,
    dependencies=needs("gallery", success=False),
)
async def create_record(
    request: Request, service: ServiceDep, access: GalleryDep, force: Force = False, engine: EngineName = None
) -> schemas.RecordCreated:
    """Store a face under a name. The same photo under the same name is stored once; the answer is the stored record.

    409 `duplicate` if the face is within the threshold of another person's, unless `?force=true`.
    """
    loaded, companions = service.engines.get(engine), service.engines.companions(engine)
    form = await read_photos(request, service.limits)
    image, name, metadata = form.image(), form.text("name"), form.json_object("metadata")
    terms = enrolled_terms(form.fields)
    person = await access.run(_check_record, name, metadata)
    options = "one", 1, service.settings.max_roll, True, service.settings.min_quality
    wanted = service.settings.thumbnails_hours > 0
    encoding = await _encode(service, loaded, companions, image, *options, with_thumbnail=wanted)

    def store(gallery: Gallery) -> schemas.FaceRecord:
        from face128.gallery.rows.records import NewFace

        facts = encoding.photo_facts()
        face = NewFace(encoding.descriptor, image, metadata, facts, encoding.companions, encoding.thumbnail)
        stored = gallery.enrol(person, [face], loaded.card, force=force, terms=terms)[0]
        return _record_json(gallery.record(stored.id))

    record = await access.change(store)
    message = f"Face record created successfully for '{name}'"
    quality = encoding.photo_facts()["quality"]
    return schemas.RecordCreated(success=True, message=message, record=record, quality=quality)


@router.get("/records", response_model_exclude_unset=True, responses=problems(422, 503), dependencies=needs("gallery"))
async def list_records(
    access: GalleryDep,
    skip: Annotated[int, Query(ge=0, le=MAX_COUNT)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_COUNT, description="Above 1000: 1000.")] = 100,
) -> schemas.Records:
    """All records, in the order of their enrolment."""

    def page(gallery: Gallery) -> tuple[int, list[Record]]:
        total, found = gallery.page(skip, min(limit, MAX_PAGE_RECORDS))
        gallery.accounts.note("list", person=EVERYBODY, details={"faces": len(found)})
        return total, found

    total, found = await access.run(page)
    return schemas.Records(total_count=total, records=[_record_json(record) for record in found])


@router.post(
    "/records/match",
    responses=PHOTO_ERRORS,
    openapi_extra=RECORD_MATCH_BODY,
    dependencies=needs("match", recognized=False, best_match=None, top_matches=[], face_detected=False),
)
async def match_records(
    request: Request,
    service: ServiceDep,
    access: GalleryDep,
    background: BackgroundTasks,
    companions: ProbeCompanions = None,
    engine: EngineName = None,
) -> schemas.RecordMatch:
    """Whose face is this? The nearest records; `recognized` if the nearest is near enough.

    The threshold is a distance in the model's own metric: Euclidean and 0.38 for dlib's (the original
    records service uses cosine).
    """
    start = time.perf_counter()
    loaded, others = service.engines.get(engine), service.engines.probe_companions(engine, companions)
    form = await read_photos(request, service.limits)
    top_k = form.number("top_k", 5)
    if not (1 <= top_k <= MAX_COUNT and top_k == int(top_k)):
        raise InvalidRequest("top_k is a whole number above 0.", field="top_k")
    limits = thresholds.for_probe(form.threshold(), loaded.card)
    encoding = await _encode(service, loaded, others or service.engines.shadow_companions(engine), form.image())
    probe = Probe.of(loaded.card, encoding.descriptor, encoding.companions if others else None)
    rule = service.settings.rule

    def recognise(gallery: Gallery) -> Recognised:
        found = gallery.recognise(probe, min(int(top_k), MAX_TOP_K), limits, rule)
        gallery.accounts.keep_search(found[0])
        return found

    decision, best, found = await access.run(recognise)

    async def decide_again(probe: Probe) -> Decision:
        return (await access.run(lambda gallery: gallery.recognise(probe, 0, limits, rule)))[0]

    by_all = Probe.of(loaded.card, encoding.descriptor, encoding.companions)
    if task := shadow_decisions(request, decision, by_all, decide_again):
        background.add_task(task)
    metrics_of(request).count_decision(decision.model, decision.distance, decision.matched)
    return schemas.RecordMatch(
        recognized=decision.matched,
        best_match=_hit_json(best) if best is not None and decision.matched else None,
        top_matches=[_hit_json(hit) for hit in found],
        face_detected=True,
        processing_time_ms=round(1000 * (time.perf_counter() - start), 1),
    )


@router.get(
    "/records/{record_id}",
    response_model_exclude_unset=True,
    responses=problems(404, 503),
    dependencies=needs("gallery"),
)
async def read_record(record_id: str, access: GalleryDep) -> schemas.FaceRecord:
    """One record."""

    def read(gallery: Gallery) -> Record:
        record = gallery.record(record_id)
        gallery.accounts.note("read", person=record.person.user_id)
        return record

    record = await access.run(read)
    return _record_json(record)


@router.delete(
    "/records/{record_id}",
    response_model_exclude_none=True,
    responses=problems(404, 503),
    dependencies=needs("gallery"),
)
async def delete_record(record_id: str, access: GalleryDep) -> schemas.RecordDeleted:
    """Erase one record: row, vector and index entry, immediately and on every worker.

    `pending` is there, and true, while another process reads the gallery as it was before: the bytes go soon after.
    """
    erasure = await access.change(lambda gallery: gallery.erase_record(record_id))
    record = erasure.records[0]
    message = f"Successfully deleted record for '{record.person.name}'"
    return schemas.RecordDeleted(success=True, message=message, deleted_id=record.id, pending=erasure.pending or None)


@router.post("/maintenance/rebuild-index", responses=problems(503), dependencies=needs("admin"))
async def rebuild_index(access: GalleryDep) -> schemas.Rebuilt:
    """Rebuild the index from the table, on every worker."""
    start = time.perf_counter()
    records = await access.change(lambda gallery: gallery.rebuild())
    return schemas.Rebuilt(success=True, records=records, seconds=round(time.perf_counter() - start, 3))


async def _encode(
    service: Service,
    engine: Engine,
    companions: Sequence[Engine],
    image: bytes,
    *options: object,
    with_thumbnail: bool = False,
) -> Encoding:
    """As ``encode``. A file that is no image is BadImage, status 400, as in the records service's table of statuses."""
    try:
        job = partial(encode, companions=companions, with_thumbnail=with_thumbnail)
        return await service.run(job, engine, image, service.limits, *options)
    except UnsupportedFormat as error:
        raise BadImage(str(error)) from None


def _check_record(_: Gallery, name: str, metadata: dict[str, Any]) -> Person:
    """Before the photo is encoded, refuse what cannot be stored, and check that the gallery answers."""
    from face128.gallery.rows.records import Person, metadata_json

    metadata_json(metadata)
    return Person.of_new_record(name)


def _record_json(record: Record) -> schemas.FaceRecord:
    assert record.position is not None
    return schemas.FaceRecord(
        **answered_facts(record.photo_facts),
        **record.terms.to_json(),
        id=record.id,
        name=record.person.name,
        metadata=record.metadata,
        created_at=record.created_at.isoformat(timespec="seconds"),
        embedding_index=record.position,
    )


def _hit_json(hit: SearchHit) -> schemas.RecordFound:
    return schemas.RecordFound(
        id=hit.record.id,
        name=hit.record.person.name,
        confidence=1 - hit.distance,
        distance=hit.distance,
        metadata=hit.record.metadata,
    )
