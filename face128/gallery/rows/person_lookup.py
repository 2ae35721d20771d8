"""Who a number stands for: what an operator is shown before they erase somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from face128.domain.terms import NO_TERMS, Terms
from face128.errors import NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.people import thumbnails
from face128.gallery.people.people import terms_of
from face128.gallery.rows.records import Person, Record, check_text
from face128.gallery.rows.space_rows import companion_models
from face128.gallery.rows.statements import of_user, read_records
from face128.gallery.rows.stored_rows import stored_as
from face128.gallery.storage.tables import faces

MAX_NAMESAKES = 5  # named in an error


@dataclass(frozen=True)
class EnrolledPerson:
    person: Person
    photos: list[Record]
    """Enrolled under this number, the oldest first: what erasing the number erases."""
    linked: list[Record]
    """Records of the same person by name, which erasing the number leaves."""
    terms: Terms
    thumbnails_until: Mapping[int, datetime]
    """Until when a picture of a photo is shown, by the photo's ``face_id``, where there is one."""


def look_up(gallery: Gallery, user_id: str) -> EnrolledPerson:
    """Raises NotFound, with the numbers of those who have this as their name."""
    check_text("user_id", user_id)
    with gallery.database.reading() as connection:
        found = read_person(connection, user_id, gallery.retention.now())
        if found is None:
            named = read_records(connection, stored_as(connection, faces.c.name, user_id))
            numbers = list(dict.fromkeys(record.person.user_id for record in named))[:MAX_NAMESAKES]
            hint = f" It is the name of {', '.join(numbers)}: give the number." if numbers else ""
            raise NotFound(f"Nobody is enrolled under {user_id}.{hint}")
    return found


def read_person(connection: sa.Connection, user_id: str, now: datetime) -> EnrolledPerson | None:
    """Everything in the gallery about a person; None if they have no photo."""
    photos = read_records(connection, of_user(connection, user_id))
    if not photos:
        return None
    person = photos[-1].person
    others = sa.not_(stored_as(connection, faces.c.user_id, user_id))
    of_name = sa.false() if person.name is None else stored_as(connection, faces.c.name, person.name)
    namesakes = read_records(connection, of_name & others)
    linked = [record for record in namesakes if record.person.same_as(person)]
    models = companion_models(connection, [record.face_id for record in photos])
    photos = [replace(record, companions=models.get(record.face_id, ())) for record in photos]
    terms = terms_of(connection, [user_id]).get(user_id, NO_TERMS)
    until = thumbnails.kept_until(connection, [record.face_id for record in photos], now)
    return EnrolledPerson(person, photos, linked, terms, until)
