"""One person: their photos and what is agreed with them; rename, erase a photo, erase the person."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import console_needs
from face128.api.console.forms import read_fields
from face128.api.console.pages import PageRoute, page, redirect
from face128.api.requests.person_terms import FIELDS
from face128.api.responses.schemas import PersonFile
from face128.api.routes import enrolment, people, records
from face128.errors import ConsentRequired, InvalidRequest, NotFound
from face128.service.gallery_access import CollectionAccess

router = APIRouter(route_class=PageRoute, include_in_schema=False)

FORM = ("name", *FIELDS)  # what of a person may be changed
PAGE_PHOTOS = 50
MAX_LINKED = 20  # records of the same name that are named
MAX_METADATA_CHARACTERS = 500  # shown of each photo's

PersonId = Annotated[str, Query(min_length=1, max_length=people.MAX_TEXT_CHARACTERS)]


@router.get("/console/person", dependencies=console_needs("gallery"))
async def person_page(
    request: Request, access: GalleryDep, id: PersonId, start: Annotated[int, Query(ge=0)] = 0
) -> Response:
    return _page(request, await people.read_person(id, access), start=start)


@router.post("/console/person/change", dependencies=console_needs("gallery"))
async def change_person(request: Request, access: GalleryDep) -> Response:
    """Only what was changed on the form: somebody else may have changed the rest since it was shown."""
    fields = await read_fields(request)
    user_id = needed(fields, "id")
    changed = [name for name in FORM if fields.get(name, "") != fields.get(f"was_{name}", "")]
    if not changed:
        return redirect(request, "person", id=user_id, done="unchanged")
    try:
        await people.change(access, user_id, {name: _value(name, fields.get(name, "")) for name in changed})
    except (InvalidRequest, ConsentRequired) as error:
        if (wrong := error.context.get("field")) not in FORM:
            raise
        return _page(request, await people.read_person(user_id, access), error.status, typed=fields, wrong=wrong)
    return redirect(request, "person", id=user_id, done="changed")


@router.post("/console/person/erase-photo", dependencies=console_needs("gallery"))
async def erase_photo(request: Request, access: GalleryDep) -> Response:
    fields = await read_fields(request)
    user_id = needed(fields, "id")
    erased = await records.delete_record(needed(fields, "photo"), access)
    done = "photo_erased_pending" if erased.pending else "photo_erased"
    if await _is_enrolled(access, user_id):
        return redirect(request, "person", id=user_id, done=done)
    return redirect(request, "people", done=done)


@router.post("/console/person/erase", dependencies=console_needs("gallery"))
async def erase_person(request: Request, access: GalleryDep) -> Response:
    fields = await read_fields(request)
    erased = await enrolment.erase_faces(needed(fields, "id"), access)
    return redirect(request, "people", done="erased_pending" if erased.pending else "erased")


def needed(fields: Mapping[str, str], name: str) -> str:
    """A field that a page of the console always sends. Raises InvalidRequest where it is missing."""
    if not fields.get(name):
        raise InvalidRequest(f"The field {name} is missing.", field=name)
    return fields[name]


def _form_time(time: str | None) -> str:
    """A time of the API as an ``<input type=datetime-local>`` has it, in UTC: browsers leave out seconds that are 0."""
    return (time or "").removesuffix("Z").removesuffix(":00")


def _page(
    request: Request,
    person: PersonFile,
    status: int = 200,
    *,
    start: int = 0,
    typed: Mapping[str, str] | None = None,
    wrong: str | None = None,
) -> Response:
    known = {"name": person.name or "", "expires_at": _form_time(person.expires_at), "consent": person.consent or ""}
    form = known
    if typed is not None:
        # What the form was about stays: a field that only somebody else has changed must not count as changed here.
        known, form = ({name: typed.get(f"{prefix}{name}", "") for name in FORM} for prefix in ("was_", ""))
    return page(
        request,
        "people/person.html",
        status,
        screen="people",
        person=person,
        is_record=any(photo.id == person.user_id for photo in person.photos),
        photos=person.photos[start : start + PAGE_PHOTOS],
        start=start,
        following=start + PAGE_PHOTOS if start + PAGE_PHOTOS < len(person.photos) else None,
        linked=person.linked[:MAX_LINKED],
        known=known,
        form=form,
        wrong=wrong,
        metadata=_metadata_text,
        export=_export_command(person.user_id, request.state.collection),
    )


def _value(name: str, text: str) -> str | None:
    """What the API has for a field of the form. A name cannot be removed: an empty one is refused."""
    if name == "name":
        return text
    return f"{text}Z" if text and name == "expires_at" and not text.endswith("Z") else text or None


async def _is_enrolled(access: CollectionAccess, user_id: str) -> bool:
    try:
        await people.read_person(user_id, access)
    except NotFound:
        return False
    return True


def _metadata_text(metadata: dict[str, Any]) -> str:
    text = json.dumps(metadata, ensure_ascii=False)
    return text if len(text) <= MAX_METADATA_CHARACTERS else f"{text[:MAX_METADATA_CHARACTERS]}…"


def _export_command(user_id: str, collection: str) -> str:
    options = [f"--collection={collection}"] if collection else []
    return shlex.join(["face128", "gallery", "export", "person.json", f"--person={user_id}", *options])
