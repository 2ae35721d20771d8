"""The routes of the records service: records of faces in the gallery."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi import body_schemas
from face128.api.requests.forms import read_photos
from face128.api.requests.query import EngineName, Force
from face128.api.responses import schemas
from face128.api.responses.error_handlers import error_fields
from face128.api.responses.schemas import REFUSED, problems
from face128.encoding.encode import encode
from face128.errors import InvalidRequest

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.records import Person, Record, SearchHit

router = APIRouter(responses=REFUSED, tags=["records"])

MAX_TOP_K = 100
MAX_PAGE = 1000


@router.post(
    "/records",
    response_model=schemas.RecordCreated,
    responses={200: {"links": body_schemas.RECORD_LINKS}, **problems(400, 409, 413, 415, 422, 503)},
    openapi_extra={"requestBody": body_schemas.RECORD},
    dependencies=[needs("gallery"), Depends(error_fields(success=False))],
)
async def create(
    request: Request, service: ServiceDep, force: Force = False, engine: EngineName = None
) -> dict[str, Any]:
    """Store a face under a name. The same photo under the same name is stored once; the answer is the stored record.

    409 `duplicate` if the face is within the threshold of another person's, unless `?force=true`.
    """
    loaded = service.engine(engine)
    form = await read_photos(request, service.limits)
    image, name, metadata = form.image(), form.text("name"), form.json_object("metadata")
    person = await service.gallery.run(_check_record, name, metadata)
    encoding = await service.encode_to_enrol(loaded, image)

    def store(gallery: Gallery) -> dict[str, Any]:
        from face128.gallery.records import NewFace

        face = NewFace(encoding.descriptor, image, metadata)
        stored = gallery.enrol(person, [face], loaded.card, force=force)[0]
        older, record = gallery.record(stored.id)
        return _record_json(record, older)

    record = await service.gallery.run(store)
    return {"success": True, "message": f"Face record created successfully for '{name}'", "record": record}


@router.get("/records", response_model=schemas.Records, responses=problems(422, 503), dependencies=[needs("gallery")])
async def page(
    service: ServiceDep,
    skip: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> dict[str, Any]:
    """All records, in the order of their enrolment."""
    total, found = await service.gallery.run(lambda gallery: gallery.page(skip, limit))
    return {"total_count": total, "records": [_record_json(record, skip + i) for i, record in enumerate(found)]}


@router.post(
    "/records/match",
    response_model=schemas.RecordMatch,
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra={"requestBody": body_schemas.RECORD_MATCH},
    dependencies=[needs("match"), Depends(error_fields(face_detected=False))],
)
async def match(request: Request, service: ServiceDep, engine: EngineName = None) -> dict[str, Any]:
    """Whose face is this? The nearest records; `recognized` if the nearest is near enough.

    The threshold is a distance in the model's own metric: Euclidean and 0.38 for dlib's (the original
    records service uses cosine).
    """
    start = time.perf_counter()
    loaded = service.engine(engine)
    form = await read_photos(request, service.limits)
    top_k, threshold = form.number("top_k", 5), form.number("threshold", None)
    if not (1 <= top_k <= MAX_TOP_K and top_k == int(top_k)):
        raise InvalidRequest(f"top_k is a whole number from 1 to {MAX_TOP_K}.", field="top_k")
    if not (threshold is None or 0 < threshold <= 2):
        raise InvalidRequest("A threshold is a number above 0 and not above 2.", field="threshold")
    encoding = await service.run(encode, loaded, form.image(), service.limits)
    recognized, found = await service.gallery.run(
        lambda gallery: gallery.recognise(
            encoding.descriptor, loaded.card, int(top_k), threshold, service.settings.rule
        )
    )
    metrics_of(request).count_decision(loaded.card.name, found[0].distance if found else None, recognized)
    return {
        "recognized": recognized,
        "best_match": _hit_json(found[0]) if recognized else None,
        "top_matches": [_hit_json(hit) for hit in found],
        "face_detected": True,
        "processing_time_ms": round(1000 * (time.perf_counter() - start), 1),
    }


@router.get(
    "/records/{record_id}",
    response_model=schemas.FaceRecord,
    responses=problems(404, 503),
    dependencies=[needs("gallery")],
)
async def one(record_id: str, service: ServiceDep) -> dict[str, Any]:
    """One record."""
    older, record = await service.gallery.run(lambda gallery: gallery.record(record_id))
    return _record_json(record, older)


@router.delete(
    "/records/{record_id}",
    response_model=schemas.RecordDeleted,
    responses=problems(404, 503),
    dependencies=[needs("gallery")],
)
async def delete(record_id: str, service: ServiceDep) -> dict[str, Any]:
    """Erase one record: row, vector and index entry, immediately and on every worker."""
    record = await service.gallery.run(lambda gallery: gallery.erase_record(record_id))
    name = record.person.name
    return {"success": True, "message": f"Successfully deleted record for '{name}'", "deleted_id": record.id}


@router.post(
    "/maintenance/rebuild-index", response_model=schemas.Rebuilt, responses=problems(503), dependencies=[needs("admin")]
)
async def rebuild(service: ServiceDep) -> dict[str, Any]:
    """Rebuild the index from the table, on every worker."""
    start = time.perf_counter()
    records = await service.gallery.run(lambda gallery: gallery.rebuild())
    return {"success": True, "records": records, "seconds": round(time.perf_counter() - start, 3)}


def _check_record(_: Gallery, name: str, metadata: dict[str, Any]) -> Person:
    """Before the photo is encoded, refuse what cannot be stored, and check that the gallery answers."""
    from face128.gallery.records import Person, metadata_json

    metadata_json(metadata)
    return Person.of_new_record(name)


def _record_json(record: Record, index: int) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.person.name,
        "metadata": record.metadata,
        "created_at": record.created_at.isoformat(timespec="seconds"),
        "embedding_index": index,
    }


def _hit_json(hit: SearchHit) -> dict[str, Any]:
    return {
        "id": hit.record.id,
        "name": hit.record.person.name,
        "confidence": 1 - hit.distance,
        "distance": hit.distance,
        "metadata": hit.record.metadata,
    }
