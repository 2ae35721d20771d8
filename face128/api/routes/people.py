"""The routes about people: who is enrolled, what is known about one, and what is agreed with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import needs
from face128.api.openapi.body_schemas import MERGE_BODY, PERSON_BODY
from face128.api.requests.bodies import read_json
from face128.api.requests.person_terms import FIELDS, changed_terms
from face128.api.requests.user_id import UserId
from face128.api.responses import schemas
from face128.api.responses.photo_facts import answered_facts
from face128.api.responses.schemas import REFUSED, problems
from face128.errors import InvalidRequest, NotFound
from face128.gallery.trail.entry import EVERYBODY
from face128.service.gallery_access import CollectionAccess

if TYPE_CHECKING:
    from datetime import datetime

    from face128.gallery.gallery import Gallery
    from face128.gallery.people.people_pages import EnrolledSummary
    from face128.gallery.rows.person_lookup import EnrolledPerson
    from face128.gallery.rows.records import Record

router = APIRouter(responses=REFUSED, tags=["people"])

MAX_BODY_BYTES = 16 * 1024  # some times what a name, a time and a consent can take
MAX_PAGE_PEOPLE = 1000
MAX_TEXT_CHARACTERS = 255  # of an id or a name


@router.get("/people/", include_in_schema=False, response_model_exclude_unset=True, dependencies=needs("gallery"))
@router.get("/people", response_model_exclude_unset=True, responses=problems(422, 503), dependencies=needs("gallery"))
async def list_people(
    access: GalleryDep,
    after: Annotated[
        str | None, Query(min_length=1, max_length=MAX_TEXT_CHARACTERS, description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_PEOPLE)] = 100,
    q: Annotated[
        str, Query(max_length=MAX_TEXT_CHARACTERS, description="Only people with this text in their id or name.")
    ] = "",
) -> schemas.People:
    """The people who are enrolled, some at a time: by `next`, which is null after the last of them."""

    def read(gallery: Gallery) -> schemas.People:
        from face128.gallery.people import people_pages

        found, following = people_pages.page(gallery.database, after, limit, q.strip())
        gallery.accounts.note("list", person=EVERYBODY, details={"people": len(found)})
        return schemas.People(people=list(map(_entry, found)), next=following)

    return await access.run(read)


@router.get(
    "/people/{user_id:path}",
    response_model_exclude_unset=True,
    responses=problems(404, 422, 503),
    dependencies=needs("gallery"),
)
async def read_person(user_id: UserId, access: GalleryDep) -> schemas.PersonFile:
    """Everything that is known about a person, but descriptors."""

    def read(gallery: Gallery) -> schemas.PersonFile:
        found = _read(gallery, user_id)
        gallery.accounts.note("read", person=user_id)
        return found

    return await access.run(read)


@router.patch(
    "/people/{user_id:path}",
    response_model_exclude_unset=True,
    responses=problems(400, 404, 413, 422),
    openapi_extra=PERSON_BODY,
    dependencies=needs("gallery"),
)
async def change_person(user_id: UserId, request: Request, access: GalleryDep) -> schemas.PersonFile:
    """Change a person's name, `expires_at` or `consent`; what is not in the body stays, and null removes the last two.

    At `expires_at` the person is erased.
    """
    return await change(access, user_id, await _fields(request, "name", *FIELDS))


async def change(access: CollectionAccess, user_id: str, fields: dict[str, Any]) -> schemas.PersonFile:
    """As ``change_person``, by fields that have been read already."""
    name = _text(fields, "name") if "name" in fields else None
    terms = changed_terms({field: fields[field] for field in FIELDS if field in fields})

    def write(gallery: Gallery) -> schemas.PersonFile:
        from face128.gallery.people import person_changes

        person_changes.change(gallery, user_id, terms, name)
        return _read(gallery, user_id)

    return await access.change(write)


@router.post(
    "/people/{user_id:path}/merge",
    response_model_exclude_none=True,
    responses=problems(400, 404, 413, 422),
    openapi_extra=MERGE_BODY,
    dependencies=needs("gallery"),
)
async def merge_people(user_id: UserId, request: Request, access: GalleryDep) -> schemas.Merged:
    """Two people who are one: all faces of `user_id` become those of `into`, who may then have more than four."""
    return await merge(access, user_id, _text(await _fields(request, "into"), "into"))


async def merge(access: CollectionAccess, user_id: str, into: str) -> schemas.Merged:
    """As ``merge_people``."""

    def write(gallery: Gallery) -> schemas.Merged:
        from face128.gallery.people import person_changes

        moved = person_changes.merge(gallery, user_id, into)
        return schemas.Merged(status="success", faces_moved=len(moved.records), pending=moved.pending or None)

    return await access.change(write)


async def _fields(request: Request, *known: str) -> dict[str, Any]:
    """The fields of a JSON object. Raises InvalidRequest for one that is not known: it may be misspelt."""
    document = await read_json(request, MAX_BODY_BYTES)
    if not isinstance(document, dict) or not document:
        raise InvalidRequest(f"The body is a JSON object with {', '.join(known)}.")
    if not document.keys() <= set(known):
        raise InvalidRequest(f"The fields are {', '.join(known)}.")
    return document


def _text(fields: dict[str, Any], field: str) -> str:
    value = fields.get(field)
    if not isinstance(value, str):
        raise InvalidRequest(f"The {field} is text.", field=field)
    return value.strip()


def _read(gallery: Gallery, user_id: str) -> schemas.PersonFile:
    from face128.gallery.one_to_one import NO_PERSON
    from face128.gallery.rows import person_lookup, records

    records.check_text("user_id", user_id)
    with gallery.database.reading() as connection:
        found = person_lookup.read_person(connection, user_id, gallery.retention.now())
    if found is None:
        raise NotFound(NO_PERSON)
    return _file(found)


def _file(found: EnrolledPerson) -> schemas.PersonFile:
    return schemas.PersonFile(
        user_id=found.person.user_id,
        regNo=found.person.reg_no,
        name=found.person.name,
        photos=[_photo(record, found.thumbnails_until.get(record.face_id)) for record in found.photos],
        linked=[record.id for record in found.linked],
        **found.terms.to_json(),
    )


def _photo(record: Record, thumbnail_until: datetime | None) -> schemas.PersonPhoto:
    others: dict[str, Any] = {"companions": list(record.companions)} if record.companions else {}
    if thumbnail_until is not None:
        others["thumbnail_until"] = f"{thumbnail_until.isoformat(timespec='seconds')}Z"
    return schemas.PersonPhoto(
        id=record.id,
        model=record.model,
        created_at=record.created_at.isoformat(timespec="seconds"),
        metadata=record.metadata,
        **others,
        **answered_facts(record.photo_facts),
    )


def _entry(found: EnrolledSummary) -> schemas.PersonEntry:
    return schemas.PersonEntry(
        user_id=found.person.user_id,
        regNo=found.person.reg_no,
        name=found.person.name,
        photos=found.photos,
        first_enrolled=found.first.isoformat(timespec="seconds"),
        last_enrolled=found.last.isoformat(timespec="seconds"),
        **found.terms.to_json(),
    )
