"""The routes of the door service: enrol a user's faces, and grant or deny access to a face."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi import body_schemas
from face128.api.requests.bodies import read_image
from face128.api.requests.forms import read_photos
from face128.api.requests.query import EngineName, Force
from face128.api.responses import schemas
from face128.api.responses.error_handlers import error_fields
from face128.api.responses.schemas import REFUSED, problems
from face128.encoding.encode import Encoding, encode
from face128.engines.base import Engine
from face128.errors import Face128Error, TooManyImages
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.records import Person, Record

router = APIRouter(responses=REFUSED, tags=["enrol and match"])

MAX_USER_FACES = 4  # as in the original door service

UserId = Annotated[str, Path(description="1 to 255 characters.", json_schema_extra=body_schemas.USER_ID)]


@router.post(
    "/enroll_faces/{user_id:path}",
    response_model=schemas.Enrolled,
    responses={200: {"links": body_schemas.ENROL_LINKS}, **problems(400, 409, 413, 415, 422, 503)},
    openapi_extra={"requestBody": body_schemas.ENROL},
    dependencies=[needs("gallery"), Depends(error_fields(status="error"))],
)
async def enrol(
    user_id: UserId,
    request: Request,
    service: ServiceDep,
    force: Force = False,
    replace: Annotated[bool, Query(description="First erase the faces that the user has.")] = False,
    engine: EngineName = None,
) -> dict[str, Any]:
    """Store the faces of one to four photos, all or none. `faces_stored` counts photos; a photo is stored only once.

    An error of one photo names its `index` and `file_name`. 409 `duplicate` if a face is within the threshold of
    another person's, unless `?force=true`; 409 `too_many_images` above four, unless `?replace=true`.
    """
    loaded = service.engine(engine)
    form = await read_photos(request, service.limits, MAX_USER_FACES)
    person = await service.gallery.run(_check_person, form.text("name"), user_id)
    if len(form.images) > MAX_USER_FACES:
        raise TooManyImages(f"A user has at most {MAX_USER_FACES} faces.")
    encodings = await _encode_all(service, loaded, form.images)

    def store(gallery: Gallery) -> list[Record]:
        from face128.gallery.records import NewFace

        new = [NewFace(encoding.descriptor, data) for encoding, (_, data) in zip(encodings, form.images, strict=True)]
        return gallery.enrol(person, new, loaded.card, force=force, replace=replace, max_faces=MAX_USER_FACES)

    return {"status": "success", "faces_stored": len(await service.gallery.run(store))}


@router.post(
    "/match_face",
    responses={200: {"model": schemas.Granted | schemas.Denied}, **problems(400, 413, 415, 422, 503)},
    openapi_extra={"requestBody": body_schemas.IMAGE},
    dependencies=[needs("match"), Depends(error_fields(status="access_denied"))],
)
async def match_face(request: Request, service: ServiceDep, engine: EngineName = None) -> JSONResponse:
    """Whose face is this? Access for the nearest person, if near enough, else `access_denied`."""
    rule, loaded = service.settings.rule, service.engine(engine)
    encoding = await service.run(encode, loaded, await read_image(request, service.limits), service.limits)
    matched, found = await service.gallery.run(
        lambda gallery: gallery.recognise(encoding.descriptor, loaded.card, 1, rule=rule)
    )
    metrics_of(request).count_decision(loaded.card.name, found[0].distance if found else None, matched)
    if not matched:
        return JSONResponse({"status": "access_denied"})
    person = found[0].record.person
    return JSONResponse({"status": "access_granted", "user_id": person.user_id, "name": person.name})


@router.delete(
    "/enroll_faces/{user_id:path}",
    response_model=schemas.Erased,
    responses=problems(404, 422, 503),
    dependencies=[needs("gallery")],
)
async def erase(user_id: UserId, service: ServiceDep) -> dict[str, Any]:
    """Erase a person: rows, vectors and index entries, immediately and on every worker."""
    erased = await service.gallery.run(lambda gallery: gallery.erase_user(user_id))
    return {"status": "success", "faces_deleted": len(erased)}


def _check_person(_: Gallery, name: str, user_id: str) -> Person:
    """Before the photos are encoded, refuse a name that cannot be stored, and check that the gallery answers."""
    from face128.gallery.records import Person

    return Person(name, user_id)


async def _encode_all(service: Service, engine: Engine, images: list[tuple[str | None, bytes]]) -> list[Encoding]:
    """Raises the error of the first photo that fails, with its index and file name."""
    outcomes = await asyncio.gather(
        *(service.encode_to_enrol(engine, data) for _, data in images), return_exceptions=True
    )
    encodings = []
    for index, ((file_name, _), outcome) in enumerate(zip(images, outcomes, strict=True)):
        if isinstance(outcome, Face128Error):
            outcome.context |= {"index": index, "file_name": file_name}
        if isinstance(outcome, BaseException):
            raise outcome
        encodings.append(outcome)
    return encodings
