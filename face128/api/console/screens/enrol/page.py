"""Enrol a person by one to four photos, from files or from a camera (static/enrol.js)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, View, page, redirect
from face128.api.console.screens.enrol.problem import Problem, problem_of
from face128.api.metrics.prometheus import metrics_of
from face128.api.requests.bodies import FORM_OVERHEAD_BYTES, read_form
from face128.api.requests.forms import PhotoForm
from face128.api.requests.multipart import read_file
from face128.api.responses.error_handlers import error_headers
from face128.api.responses.schemas import PersonFile
from face128.api.routes import people
from face128.api.routes.enrolment import MAX_USER_FACES, enrol_form
from face128.errors import Face128Error, InvalidRequest, NotFound, TooManyImages
from face128.photos.preview import preview_of
from face128.service.gallery_access import CollectionAccess
from face128.service.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

TEXTS = ("id", "name", "reg_no_type", "expires_at", "consent")
MAX_FORM_PHOTOS = 16  # that are received: more than MAX_USER_FACES, to say so on the form

PersonId = Annotated[str, Query(max_length=people.MAX_TEXT_CHARACTERS)]


@router.get("/console/enrol", dependencies=console_needs("gallery"))
async def enrol_page(
    request: Request, service: ServiceDep, access: GalleryDep, id: PersonId = "", enrolled: PersonId = ""
) -> Response:
    """``id``: somebody who gets further photos. ``enrolled``: who has just been enrolled."""
    person = await people.read_person(id, access) if id else None
    form = {"id": id, "name": person.name or ""} if person else {}
    return await _page(request, service, form, further=person, enrolled=await _found(access, enrolled))


@router.post("/console/enrol", dependencies=console_needs("gallery"))
async def enrol(request: Request, service: ServiceDep, access: GalleryDep) -> Response:
    form = await _read(request, service)
    wants_json = request.headers.get("accept", "").startswith("application/json")
    user_id = form.fields.get("id", "")
    try:
        await _enrol(service, access, user_id, form)
    except Face128Error as error:
        if error.status == 500:
            raise
        metrics_of(request).count_error(error.code)
        problem = await problem_of(View(request), access, error, user_id, len(form.images))
        if wants_json:
            answer: Response = JSONResponse(problem.to_json(), error.status)
        else:
            answer = await _page(request, service, form.fields, problem, form)
            answer.status_code = error.status
        answer.headers.update(error_headers(error))
        return answer
    if wants_json:
        return JSONResponse({"location": View(request).url("enrol", enrolled=user_id)})
    return redirect(request, "enrol", enrolled=user_id)


async def _enrol(service: Service, access: CollectionAccess, user_id: str, form: PhotoForm) -> None:
    if not user_id:
        raise InvalidRequest("The field id is missing.", field="user_id")
    if not form.images:
        raise InvalidRequest("There is no photo.", field="images")
    if len(form.images) > MAX_USER_FACES:
        raise TooManyImages()
    engines = service.engines.get(), service.engines.companions()
    force, replace = form.fields.get("force") == "1", form.fields.get("replace") == "1"
    await enrol_form(service, access, user_id, form, *engines, force=force, replace=replace)


async def _read(request: Request, service: Service) -> PhotoForm:
    max_bytes = MAX_USER_FACES * service.limits.max_bytes + FORM_OVERHEAD_BYTES
    form = await read_form(request, max_bytes, MAX_FORM_PHOTOS)
    photos = [value for field, value in form.multi_items() if field == "images"]
    images = [(each.filename if isinstance(each, UploadFile) else None, await read_file(each)) for each in photos]
    fields = {field: value.strip() for field, value in form.multi_items() if isinstance(value, str)}
    time = fields.get("expires_at")
    return PhotoForm(images, fields | ({"expires_at": _utc(time)} if time else {}))


def _utc(time: str) -> str:
    """A time of an ``<input type=datetime-local>``, which has no zone, as the API has it."""
    return time if time.endswith("Z") else f"{time}Z"


async def _page(
    request: Request,
    service: Service,
    typed: Mapping[str, str],
    problem: Problem | None = None,
    sent: PhotoForm | None = None,
    *,
    further: PersonFile | None = None,
    enrolled: PersonFile | None = None,
) -> Response:
    form = {name: typed.get(name, "") for name in TEXTS}
    form["expires_at"] = form["expires_at"].removesuffix("Z")
    return page(
        request,
        "enrol/enrol.html",
        screen="enrol",
        form=form,
        asked={name: typed.get(name) == "1" for name in ("force", "replace")},
        problem=problem,
        shown=await _preview(service, sent, problem) if sent and problem else None,
        further=further,
        enrolled=enrolled,
        settings=service.settings,
        max_photos=MAX_USER_FACES,
    )


async def _found(access: CollectionAccess, user_id: str) -> PersonFile | None:
    """None for nobody: they may have been erased since."""
    try:
        return await people.read_person(user_id, access) if user_id else None
    except (NotFound, InvalidRequest):
        return None


async def _preview(service: Service, sent: PhotoForm, problem: Problem) -> dict[str, str | None] | None:
    """The photo that the problem is about, small; without its picture if it cannot be read."""
    if problem.photo is None:
        return None
    name, data = sent.images[problem.photo]
    try:
        small = await service.run(preview_of, data, service.limits)
    except Face128Error:
        return {"name": name, "source": None}
    return {"name": name, "source": f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"}
