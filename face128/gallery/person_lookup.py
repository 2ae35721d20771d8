"""Who a number stands for: what an operator is shown before they erase somebody."""

from __future__ import annotations

from dataclasses import dataclass

from face128.errors import NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.records import Person, Record, check_text
from face128.gallery.statements import of_user, read_records
from face128.gallery.tables import faces

MAX_NAMESAKES = 5  # named in an error


@dataclass(frozen=True)
class EnrolledPerson:
    person: Person
    photos: list[Record]
    """Enrolled under this number, the oldest first: what erasing the number erases."""
    linked: list[Record]
    """Records of the same person by name, which erasing the number leaves."""


def look_up(gallery: Gallery, user_id: str) -> EnrolledPerson:
    """Raises NotFound, with the numbers of those who have this as their name."""
    check_text("user_id", user_id)
    with gallery.database.reading() as connection:
        photos = read_records(connection, of_user(connection, user_id))
        if not photos:
            named = read_records(connection, faces.c.name == user_id)
            numbers = list(dict.fromkeys(record.person.user_id for record in named))[:MAX_NAMESAKES]
            hint = f" It is the name of {', '.join(numbers)}: give the number." if numbers else ""
            raise NotFound(f"Nobody is enrolled under {user_id}.{hint}")
        person = photos[-1].person
        namesakes = read_records(connection, (faces.c.name == person.name) & (faces.c.user_id != user_id))
        linked = [record for record in namesakes if record.person.same_as(person)]
    return EnrolledPerson(person, photos, linked)
