"""Document 2: records of faces, with FAISS behind them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi import examples
from face128.api.requests.forms import read_photos
from face128.api.requests.query import EngineName, Force
from face128.api.responses import schemas
from face128.api.responses.error_handlers import error_fields
from face128.api.responses.schemas import REFUSED, problems
from face128.encoding.encode import encode
from face128.errors import InvalidRequest

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.records import Found, Person, Record

router = APIRouter(responses=REFUSED, tags=["records"])

MAX_TOP_K = 100
MAX_PAGE = 1000


@router.post(
    "/records",
    response_model=schemas.RecordCreated,
    responses={200: {"links": examples.RECORD_LINKS}, **problems(400, 409, 413, 415, 422, 503)},
    openapi_extra={"requestBody": examples.RECORD},
    dependencies=[needs("gallery"), Depends(error_fields(success=False))],
)
async def create(
    request: Request, service: ServiceDep, force: Force = False, engine: EngineName = None
) -> dict[str, Any]:
    """Store a face under a name. The same photo under the same name is stored once, and answered as it stands.

    409 `duplicate` where the face is within the threshold of another person's, unless `?force=true`.
    """
    loaded = service.engine(engine)
    sent = await read_photos(request, service.limits)
    image, name, metadata = sent.image(), sent.text("name"), sent.json_object("metadata")
    person = await service.gallery.run(_check, name, metadata)
    encoding = await service.encode_to_enrol(loaded, image)

    def store(gallery: Gallery) -> dict[str, Any]:
        from face128.gallery.records import NewFace

        face = NewFace(encoding.descriptor, image, metadata)
        stored = gallery.enrol(person, [face], loaded.card, force=force)[0]
        older, record = gallery.record(stored.id)
        return _record(record, older)

    record = await service.gallery.run(store)
    return {"success": True, "message": f"Face record created successfully for '{name}'", "record": record}


@router.get("/records", response_model=schemas.Records, responses=problems(422, 503), dependencies=[needs("gallery")])
async def page(
    service: ServiceDep,
    skip: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> dict[str, Any]:
    """Everybody who is enrolled, in the order in which they were."""
    total, found = await service.gallery.run(lambda gallery: gallery.page(skip, limit))
    return {"total_count": total, "records": [_record(record, skip + i) for i, record in enumerate(found)]}


@router.post(
    "/records/match",
    response_model=schemas.RecordMatch,
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra={"requestBody": examples.RECORD_MATCH},
    dependencies=[needs("match"), Depends(error_fields(face_detected=False))],
)
async def match(request: Request, service: ServiceDep, engine: EngineName = None) -> dict[str, Any]:
    """Whose face is this? The nearest records; `recognized` if the nearest is near enough.

    The threshold is a distance in the model's own metric: Euclidean and 0.38 for dlib's, not the cosine of document 2.
    """
    start = time.perf_counter()
    loaded = service.engine(engine)
    sent = await read_photos(request, service.limits)
    top_k, threshold = sent.number("top_k", 5), sent.number("threshold", None)
    if not (1 <= top_k <= MAX_TOP_K and top_k == int(top_k)):
        raise InvalidRequest(f"top_k is a whole number from 1 to {MAX_TOP_K}.", field="top_k")
    if not (threshold is None or 0 < threshold <= 2):
        raise InvalidRequest("A threshold is a number above 0 and not above 2.", field="threshold")
    encoding = await service.run(encode, loaded, sent.image(), service.limits)
    recognized, found = await service.gallery.run(
        lambda gallery: gallery.recognise(
            encoding.descriptor, loaded.card, int(top_k), threshold, service.settings.rule
        )
    )
    metrics_of(request).decided(loaded.card.name, found[0].distance if found else None, recognized)
    return {
        "recognized": recognized,
        "best_match": _found(found[0]) if recognized else None,
        "top_matches": [_found(one) for one in found],
        "face_detected": True,
        "processing_time_ms": round(1000 * (time.perf_counter() - start), 1),
    }


@router.get(
    "/records/{record_id}", response_model=schemas.Record, responses=problems(404, 503), dependencies=[needs("gallery")]
)
async def one(record_id: str, service: ServiceDep) -> dict[str, Any]:
    """One record."""
    older, record = await service.gallery.run(lambda gallery: gallery.record(record_id))
    return _record(record, older)


@router.delete(
    "/records/{record_id}",
    response_model=schemas.RecordDeleted,
    responses=problems(404, 503),
    dependencies=[needs("gallery")],
)
async def delete(record_id: str, service: ServiceDep) -> dict[str, Any]:
    """Erase one record: row, vector and index entry, at once and on every worker."""
    record = await service.gallery.run(lambda gallery: gallery.erase_record(record_id))
    name = record.person.name
    return {"success": True, "message": f"Successfully deleted record for '{name}'", "deleted_id": record.id}


@router.post(
    "/maintenance/rebuild-index", response_model=schemas.Rebuilt, responses=problems(503), dependencies=[needs("admin")]
)
async def rebuild(service: ServiceDep) -> dict[str, Any]:
    """Make the index anew from the table, on every worker."""
    start = time.perf_counter()
    records = await service.gallery.run(lambda gallery: gallery.rebuild())
    return {"success": True, "records": records, "seconds": round(time.perf_counter() - start, 3)}


def _check(_: Gallery, name: str, metadata: dict[str, Any]) -> Person:
    """Refuse what cannot be stored, or a gallery that is away, before the photo is encoded."""
    from face128.gallery.records import Person, metadata_json

    metadata_json(metadata)
    return Person.named(name)


def _record(record: Record, index: int) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.person.name,
        "metadata": record.metadata,
        "created_at": record.created_at.isoformat(timespec="seconds"),
        "embedding_index": index,
    }


def _found(found: Found) -> dict[str, Any]:
    return {
        "id": found.record.id,
        "name": found.record.person.name,
        "confidence": 1 - found.distance,
        "distance": found.distance,
        "metadata": found.record.metadata,
    }
