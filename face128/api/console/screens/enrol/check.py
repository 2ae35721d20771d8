"""What would be said of a photo if it were enrolled, before anything is stored: for static/enrol.js."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, View, error_sentence
from face128.api.console.screens.enrol.problem import problem_of, reasons
from face128.api.requests.bodies import read_image
from face128.api.routes.people import MAX_TEXT_CHARACTERS
from face128.encoding.encode import Encoding, assess_faces, choose_face, encode, face_fields, refuse_tilted_head
from face128.encoding.quality import Quality, judge, refuse_poor_quality
from face128.engines.base import Face
from face128.errors import (
    BadImage,
    Duplicate,
    Face128Error,
    HeadTilted,
    InconsistentPerson,
    InvalidRequest,
    MultipleFaces,
    NoFace,
    PoorQuality,
    TooLarge,
    UnsupportedFormat,
)
from face128.photos.photo import Photo
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.rows.records import Person

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MAX_SCALE = 16.0
OF_THE_PHOTO = (BadImage, UnsupportedFormat, TooLarge, NoFace, MultipleFaces)

Text = Annotated[str, Query(max_length=MAX_TEXT_CHARACTERS)]


@router.post("/console/enrol/check", dependencies=console_needs("gallery"))
async def check(
    request: Request,
    service: ServiceDep,
    access: GalleryDep,
    id: Text = "",
    name: Text = "",
    scale: Annotated[float, Query(ge=1, le=MAX_SCALE)] = 1,
    compare: bool = False,
) -> JSONResponse:
    """The body is a photo. ``scale``: how many times as large the photo is that would be enrolled instead of this copy.

    ``compare``: also say whether the face is enrolled as somebody else, who is on the trail then as read; or unlike the
    photos of this person.
    """
    view, settings = View(request), service.settings
    try:
        image = await read_image(request, service.limits)
        photo, face, quality, encoding = await _looked_at(service, image, compare=compare)
    except OF_THE_PHOTO as error:
        return JSONResponse({"verdict": "none", "refused": True, "sentences": [error_sentence(request, error)]})
    quality = _of_the_original(quality, scale)
    answer: dict[str, Any] = {
        "face": face_fields(face, photo)["bbox"],
        "width": photo.width,
        "height": photo.height,
        "verdict": quality.verdict,
        "label": view.sentences.text(f"quality.verdict.{quality.verdict}"),
        "sentences": reasons(view, list(quality.reasons)),
        "refused": False,
    }
    try:
        refuse_poor_quality(quality, settings.min_quality)
        if settings.max_roll is not None:
            refuse_tilted_head(face, settings.max_roll)
    except PoorQuality:
        answer["refused"] = True
    except HeadTilted as error:
        answer |= {"refused": True, "sentences": [error_sentence(request, error)]}
    if encoding is not None and (warning := await _compared(service, access, encoding, image, id, name)):
        problem = await problem_of(view, access, warning, id, 1)
        answer["warning"] = {"error": problem.sentence, "code": problem.code, "person": problem.person}
    return JSONResponse(answer)


async def _looked_at(service: Service, image: bytes, *, compare: bool) -> tuple[Photo, Face, Quality, Encoding | None]:
    """Only a face that is compared is described: that takes the network. Raises OF_THE_PHOTO."""
    loaded = service.engines.get()
    if compare:
        job = partial(encode, companions=service.engines.companions())
        encoding = await service.run(job, loaded, image, service.limits, "one", 1, None, True)
        assert encoding.quality is not None
        return encoding.photo, encoding.face, encoding.quality, encoding
    photo, faces, qualities = await service.run(assess_faces, loaded, image, service.limits)
    return photo, choose_face(faces, photo, "one"), qualities[0], None


def _of_the_original(quality: Quality, scale: float) -> Quality:
    """Of a small copy, only the distance of the eyes is another one than the photo's."""
    eye_distance = quality.measures.eye_distance
    return quality if eye_distance is None else judge(replace(quality.measures, eye_distance=scale * eye_distance))


async def _compared(
    service: Service, access: GalleryDep, encoding: Encoding, image: bytes, user_id: str, name: str
) -> Face128Error | None:
    card = service.engines.get().card

    def look(gallery: Gallery) -> Face128Error | None:
        from face128.gallery.rows.records import NewFace

        try:
            face = NewFace(encoding.descriptor, image, {}, {}, encoding.companions)
            gallery.check_faces(_person(name.strip(), user_id.strip()), [face], card)
        except (Duplicate, InconsistentPerson) as error:
            return error
        return None

    return await access.run(look)


def _person(name: str, user_id: str) -> Person | None:
    """Who is being typed; None without a number that can be stored."""
    from face128.gallery.rows.records import Person

    for known in (name, None):
        with suppress(InvalidRequest):
            return Person(known, user_id)
    return None
