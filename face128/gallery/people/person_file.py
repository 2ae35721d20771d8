"""Everything that the gallery has about one person, for the person who asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import to_base64
from face128.gallery.gallery import Gallery
from face128.gallery.people import thumbnails
from face128.gallery.people.thumbnails import Thumbnail
from face128.gallery.rows.person_lookup import EnrolledPerson, look_up
from face128.gallery.rows.records import Record, stored_vector
from face128.gallery.rows.space_rows import read_descriptors
from face128.gallery.rows.stored_rows import Embeddings
from face128.gallery.storage.tables import collection_of
from face128.gallery.trail import decisions, reading, reviews

PAGE_ROWS = 1000


def person_file(gallery: Gallery, user_id: str) -> dict[str, Any]:
    """What is known about a person, as JSON. Raises NotFound.

    Records of the same name, which are the same person, are in it with their photos.
    """
    found = look_up(gallery, user_id)
    with gallery.database.reading() as connection:
        photos = [*found.photos, *found.linked]
        rows = [(record.face_id, record.model, stored_vector(record.descriptor)) for record in photos]
        described = zip(photos, read_descriptors(connection, rows), strict=True)
        pictures = thumbnails.read(connection, [record.face_id for record in photos], gallery.retention.now())
        ids = list(dict.fromkeys(record.person.user_id for record in photos))
        return {
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "collection": collection_of(connection),
            **_who(found),
            "photos": [_photo(record, embeddings, pictures.get(record.face_id)) for record, embeddings in described],
            "decisions": [each for one in ids for each in _decisions(connection, one)],
            "reviews": [each for one in ids for each in reviews.told(connection, one)],
            "trail": [each for one in ids for each in _trail(connection, one)],
        }


def _who(found: EnrolledPerson) -> dict[str, Any]:
    person = found.person
    return {"user_id": person.user_id, "regNo": person.reg_no, "name": person.name, **found.terms.to_json()}


def _photo(record: Record, embeddings: Embeddings, picture: Thumbnail | None) -> dict[str, Any]:
    kept = (
        {
            "thumbnail": base64.b64encode(picture.jpeg).decode(),
            "thumbnail_until": f"{picture.expires_at.isoformat(timespec='seconds')}Z",
        }
        if picture
        else {}
    )
    return {
        "id": record.id,
        "user_id": record.person.user_id,
        "enrolled_at": f"{record.created_at.isoformat(timespec='seconds')}Z",
        **record.photo_facts,
        "metadata": record.metadata,
        "descriptors": {model: to_base64(np.frombuffer(vector, "<f4")) for model, vector in embeddings.items()},
        **kept,
    }


def _decisions(connection: sa.Connection, user_id: str) -> Iterator[dict[str, Any]]:
    """The kept decisions for the person, the newest first."""
    before = None
    while block := decisions.page(connection, PAGE_ROWS, before=before, user_id=user_id):
        yield from (asdict(each) for each in block)
        before = block[-1].id


def _trail(connection: sa.Connection, user_id: str) -> Iterator[dict[str, Any]]:
    """The entries of the trail about the person, the newest first."""
    before = None
    while block := reading.page(connection, PAGE_ROWS, before=before, person=user_id):
        yield from (reading.readable(each) for each in block)
        before = block[-1].seq


def as_text(file: dict[str, Any]) -> str:
    return json.dumps(file, ensure_ascii=False, indent=2) + "\n"
