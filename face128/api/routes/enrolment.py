"""The routes of the door service: enrol a user's faces, and grant or deny access to a face."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query, Request

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi.body_schemas import ENROL_BODY, ENROL_LINKS, IMAGE_BODY
from face128.api.requests.bodies import read_image
from face128.api.requests.forms import PhotoForm, read_photos
from face128.api.requests.person_terms import enrolled_terms
from face128.api.requests.query import EngineName, Explain, Force, ProbeCompanions
from face128.api.requests.user_id import UserId
from face128.api.responses import schemas
from face128.api.responses.schemas import PHOTO_ERRORS, REFUSED, problems
from face128.api.shadow_decisions import shadow_decisions
from face128.domain import strict_json
from face128.domain.probe import Probe
from face128.encoding.encode import encode
from face128.engines.base import Engine
from face128.errors import BadRequest, InvalidRequest, TooManyImages
from face128.matching.outcome import Decision
from face128.service.gallery_access import CollectionAccess
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.rows.records import Person, Record
    from face128.gallery.search.searches import Recognised

router = APIRouter(responses=REFUSED, tags=["enrol and match"])

MAX_USER_FACES = 4  # as in the original door service


@router.post(
    "/enroll_faces/{user_id:path}",
    response_model_exclude_unset=True,
    responses={200: {"links": ENROL_LINKS}, **problems(409), **PHOTO_ERRORS},
    openapi_extra=ENROL_BODY,
    dependencies=needs("gallery", status="error"),
)
async def enrol_faces(
    user_id: UserId,
    request: Request,
    service: ServiceDep,
    access: GalleryDep,
    force: Force = False,
    replace: Annotated[bool, Query(description="First erase the faces that the user has.")] = False,
    engine: EngineName = None,
) -> schemas.Enrolled:
    """Store the faces of one to four photos, all or none. `faces_stored` counts photos; a photo is stored only once.

    `/match` answers `regNo` as a number if `reg_no_type` is `number` (or the person was imported so), else as a string.
    An error of one photo names its `index` and `file_name`. 409 `duplicate` if a face is within the threshold of
    another person's, unless `?force=true`; 409 `too_many_images` above four, unless `?replace=true`.
    """
    engines = service.engines.get(engine), service.engines.companions(engine)
    form = await read_photos(request, service.limits, MAX_USER_FACES)
    return await enrol_form(service, access, user_id, form, *engines, force=force, replace=replace)


async def enrol_form(
    service: Service,
    access: CollectionAccess,
    user_id: str,
    form: PhotoForm,
    loaded: Engine,
    companions: Sequence[Engine],
    *,
    force: bool,
    replace: bool,
) -> schemas.Enrolled:
    """As ``enrol_faces``, of a form that was read."""
    is_number, terms = _regno_is_number(form, user_id), enrolled_terms(form.fields)
    person = await access.run(_check_person, form.text("name"), user_id)
    if len(form.images) > MAX_USER_FACES:
        raise TooManyImages(f"A user has at most {MAX_USER_FACES} faces.")
    photos = [({"index": index, "file_name": name}, data) for index, (name, data) in enumerate(form.images)]
    options = "one", 1, service.settings.max_roll, True, service.settings.min_quality
    wanted = service.settings.thumbnails_hours > 0
    encodings = await service.encode_all(loaded, photos, *options, companions=companions, with_thumbnail=wanted)

    def store(gallery: Gallery) -> list[Record]:
        from face128.gallery.rows.records import NewFace

        new = [
            NewFace(encoding.descriptor, data, {}, encoding.photo_facts(), encoding.companions, encoding.thumbnail)
            for encoding, (_, data) in zip(encodings, form.images, strict=True)
        ]
        return gallery.enrol(
            person,
            new,
            loaded.card,
            force=force,
            replace=replace,
            max_faces=MAX_USER_FACES,
            is_number=is_number,
            terms=terms,
        )

    stored = await access.change(store)
    quality = [encoding.photo_facts()["quality"] for encoding in encodings]
    adjusted = [encoding.face.adjusted.to_json() for encoding in encodings]
    facts: dict[str, Any] = {"quality": quality} | ({"adjusted": adjusted} if any(adjusted) else {})
    return schemas.Enrolled(status="success", faces_stored=len(stored), **facts)


@router.post(
    "/match_face",
    response_model_exclude_unset=True,
    responses=PHOTO_ERRORS,
    openapi_extra=IMAGE_BODY,
    dependencies=needs("match", status="access_denied"),
)
async def match_face(
    request: Request,
    service: ServiceDep,
    access: GalleryDep,
    background: BackgroundTasks,
    explain: Explain = False,
    companions: ProbeCompanions = None,
    engine: EngineName = None,
) -> schemas.Granted | schemas.Denied:
    """Whose face is this? Access for the nearest person, if near enough, else `access_denied`."""
    rule, loaded = service.settings.rule, service.engines.get(engine)
    companion_engines = service.engines.probe_companions(engine, companions)
    job = partial(encode, companions=companion_engines or service.engines.shadow_companions(engine))
    encoding = await service.run(job, loaded, await read_image(request, service.limits), service.limits)
    probe = Probe.of(loaded.card, encoding.descriptor, encoding.companions if companion_engines else None)

    def recognise(gallery: Gallery) -> Recognised:
        found = gallery.recognise(probe, 0, rule=rule, explain=explain)
        gallery.accounts.keep_search(found[0])
        return found

    decision, best, _ = await access.run(recognise)

    async def decide_again(probe: Probe) -> Decision:
        return (await access.run(lambda gallery: gallery.recognise(probe, 0, rule=rule)))[0]

    by_all = Probe.of(loaded.card, encoding.descriptor, encoding.companions)
    if task := shadow_decisions(request, decision, by_all, decide_again):
        background.add_task(task)
    metrics_of(request).count_decision(decision.model, decision.distance, decision.matched)
    evidence = decision.evidence() if explain else {}
    if best is None or not decision.matched:
        return schemas.Denied(status="access_denied", **evidence)
    person = best.record.person
    return schemas.Granted(status="access_granted", user_id=person.user_id, name=person.name, **evidence)


@router.delete(
    "/enroll_faces/{user_id:path}",
    response_model_exclude_none=True,
    responses=problems(404, 422, 503),
    dependencies=needs("gallery"),
)
async def erase_faces(user_id: UserId, access: GalleryDep) -> schemas.Erased:
    """Erase a person: rows, vectors and index entries, immediately and on every worker.

    `pending` is there, and true, while another process reads the gallery as it was before: the bytes go soon after.
    """
    erasure = await access.change(lambda gallery: gallery.erase_user(user_id))
    return schemas.Erased(status="success", faces_deleted=len(erasure.records), pending=erasure.pending or None)


def _regno_is_number(form: PhotoForm, user_id: str) -> bool | None:
    """Whether the form says that regNo is a number; None if it does not say. Raises InvalidRequest."""
    match form.fields.get("reg_no_type", ""):
        case "":
            return None
        case "string":
            return False
        case "number":
            with suppress(BadRequest):
                number = strict_json.loads(user_id)
                if type(number) in (int, float) and json.dumps(number) == user_id:
                    return True
            raise InvalidRequest("The user_id is no number as JSON writes it.", field="reg_no_type")
    raise InvalidRequest("reg_no_type is number or string.", field="reg_no_type")


def _check_person(_: Gallery, name: str, user_id: str) -> Person:
    """Before the photos are encoded, refuse a name that cannot be stored, and check that the gallery answers."""
    from face128.gallery.rows.records import Person

    return Person(name, user_id)
