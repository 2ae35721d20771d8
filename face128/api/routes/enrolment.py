"""The routes of the door service: enrol a user's faces, and grant or deny access to a face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query, Request

from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi.body_schemas import ENROL_BODY, ENROL_LINKS, IMAGE_BODY, USER_ID
from face128.api.requests.bodies import read_image
from face128.api.requests.forms import read_photos
from face128.api.requests.query import EngineName, Force
from face128.api.responses import schemas
from face128.api.responses.schemas import PHOTO_ERRORS, REFUSED, problems
from face128.encoding.encode import encode
from face128.errors import TooManyImages

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.records import Person, Record

router = APIRouter(responses=REFUSED, tags=["enrol and match"])

MAX_USER_FACES = 4  # as in the original door service

UserId = Annotated[str, Path(description="1 to 255 characters.", json_schema_extra=USER_ID)]


@router.post(
    "/enroll_faces/{user_id:path}",
    responses={200: {"links": ENROL_LINKS}, **problems(409), **PHOTO_ERRORS},
    openapi_extra=ENROL_BODY,
    dependencies=needs("gallery", status="error"),
)
async def enrol(
    user_id: UserId,
    request: Request,
    service: ServiceDep,
    force: Force = False,
    replace: Annotated[bool, Query(description="First erase the faces that the user has.")] = False,
    engine: EngineName = None,
) -> schemas.Enrolled:
    """Store the faces of one to four photos, all or none. `faces_stored` counts photos; a photo is stored only once.

    An error of one photo names its `index` and `file_name`. 409 `duplicate` if a face is within the threshold of
    another person's, unless `?force=true`; 409 `too_many_images` above four, unless `?replace=true`.
    """
    loaded = service.engine(engine)
    form = await read_photos(request, service.limits, MAX_USER_FACES)
    person = await service.gallery.run(_check_person, form.text("name"), user_id)
    if len(form.images) > MAX_USER_FACES:
        raise TooManyImages(f"A user has at most {MAX_USER_FACES} faces.")
    photos = [({"index": index, "file_name": name}, data) for index, (name, data) in enumerate(form.images)]
    encodings = await service.encode_all(loaded, photos, "one", 1, service.settings.max_roll)

    def store(gallery: Gallery) -> list[Record]:
        from face128.gallery.records import NewFace

        new = [NewFace(encoding.descriptor, data) for encoding, (_, data) in zip(encodings, form.images, strict=True)]
        return gallery.enrol(person, new, loaded.card, force=force, replace=replace, max_faces=MAX_USER_FACES)

    return schemas.Enrolled(status="success", faces_stored=len(await service.gallery.run(store)))


@router.post(
    "/match_face", responses=PHOTO_ERRORS, openapi_extra=IMAGE_BODY, dependencies=needs("match", status="access_denied")
)
async def match_face(
    request: Request, service: ServiceDep, engine: EngineName = None
) -> schemas.Granted | schemas.Denied:
    """Whose face is this? Access for the nearest person, if near enough, else `access_denied`."""
    rule, loaded = service.settings.rule, service.engine(engine)
    encoding = await service.run(encode, loaded, await read_image(request, service.limits), service.limits)
    matched, found = await service.gallery.run(
        lambda gallery: gallery.recognise(encoding.descriptor, loaded.card, 1, rule=rule)
    )
    metrics_of(request).count_decision(loaded.card.name, found[0].distance if found else None, matched)
    if not matched:
        return schemas.Denied(status="access_denied")
    person = found[0].record.person
    return schemas.Granted(status="access_granted", user_id=person.user_id, name=person.name)


@router.delete("/enroll_faces/{user_id:path}", responses=problems(404, 422, 503), dependencies=needs("gallery"))
async def erase(user_id: UserId, service: ServiceDep) -> schemas.Erased:
    """Erase a person: rows, vectors and index entries, immediately and on every worker."""
    erased = await service.gallery.run(lambda gallery: gallery.erase_user(user_id))
    return schemas.Erased(status="success", faces_deleted=len(erased))


def _check_person(_: Gallery, name: str, user_id: str) -> Person:
    """Before the photos are encoded, refuse a name that cannot be stored, and check that the gallery answers."""
    from face128.gallery.records import Person

    return Person(name, user_id)
