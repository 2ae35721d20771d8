"""Stores a person's faces, in a writing transaction: all or none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.domain.terms import TermChanges, refuse_expired
from face128.errors import TooManyImages
from face128.gallery.people import people, thumbnails
from face128.gallery.people.retention import Retention
from face128.gallery.people.thumbnails import Thumbnail
from face128.gallery.rows import statements
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.rows.stored_rows import stored_as
from face128.gallery.storage.tables import faces


def store(
    connection: sa.Connection,
    person: Person,
    new: Sequence[NewFace],
    card: ModelCard,
    *,
    replace: bool,
    max_faces: int | None,
    is_number: bool | None,
    terms: TermChanges,
    retention: Retention,
) -> list[Record]:
    """Store the faces, after erasing the person's others with ``replace``, and change the person's terms.

    Raises TooManyImages, ConsentRequired if consent is required and not known, and what ``refuse_expired`` raises.
    """
    before = people.forget_stray(connection, person.user_id)
    refuse_expired(before, terms, retention.now())
    person = statements.resolve_person(connection, person, is_number)
    of_person = stored_as(connection, faces.c.user_id, person.user_id)
    if replace:
        statements.erase_faces(connection, of_person)
    photos = statements.add_faces(connection, person, new, card)
    stored = [record for record, _ in photos]
    if max_faces is not None and statements.count_faces(connection, of_person, whole=False) > max_faces:
        raise TooManyImages(f"A person has at most {max_faces} faces. To replace the stored ones: replace=true.")
    if terms or replace or retention.require_consent:
        # Of a record that is stored already, the id is not the one given now.
        people.agree(connection, stored[0].person.user_id, terms, before, require_consent=retention.require_consent)
    if retention.thumbnail_hours:
        expires_at = retention.now() + timedelta(hours=retention.thumbnail_hours)
        pictures = {record.face_id: Thumbnail(face.thumbnail, expires_at) for record, face in photos if face.thumbnail}
        thumbnails.store(connection, pictures)
    return stored
