"""What an operator changes about a person: their name, what is agreed with them, and that two people are one."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from face128.domain.terms import NO_TERMS, TermChanges
from face128.errors import InvalidRequest, NotFound
from face128.gallery.erasing import Erasure
from face128.gallery.gallery import Gallery
from face128.gallery.one_to_one import NO_PERSON
from face128.gallery.people import thumbnails
from face128.gallery.people.people import agree, store_terms, terms_of
from face128.gallery.people.thumbnails import Thumbnail
from face128.gallery.rows import statements
from face128.gallery.rows.records import Person, Record, check_text, metadata_json, photo_facts_json, stored_vector
from face128.gallery.rows.space_rows import read_descriptors
from face128.gallery.rows.stored_rows import Embeddings, stored_text, stored_texts
from face128.gallery.storage.tables import faces
from face128.gallery.trail import decisions
from face128.gallery.trail.chain import record
from face128.process_memory import OverwritingFreedMemory


def change(gallery: Gallery, user_id: str, terms: TermChanges, name: str | None = None) -> None:
    """Change the person's terms, and their name unless it is None. Raises NotFound, ConsentRequired."""
    check_text("user_id", user_id)
    with gallery.database.writing() as connection:
        person = _faces_of(connection, user_id)[-1].person
        if name is not None:
            statements.resolve_person(connection, Person(name, user_id, person.numeric), person.numeric)
        need = gallery.retention.require_consent and "consent" in terms
        agree(connection, user_id, terms, NO_TERMS, require_consent=need)
        changed = [*(["name"] if name is not None else []), *sorted(terms)]
        record(connection, "update", person=user_id, details={"fields": changed})
    if name is not None:
        gallery.load()


def merge(gallery: Gallery, user_id: str, into: str) -> Erasure:
    """Let all faces of ``user_id`` be those of ``into``, who keeps their name and terms. Raises NotFound.

    The faces are stored anew, and erased where they were: so everything that follows enrolments and erasures follows
    this, too. A consent that ``into`` lacks is taken over.
    """
    check_text("user_id", user_id)
    check_text("into", into)
    if user_id == into:
        raise InvalidRequest("A person cannot be merged into themselves.", field="into")

    def move(connection: sa.Connection) -> list[Record]:
        moved, target = _faces_of(connection, user_id), _faces_of(connection, into)[-1].person
        known = terms_of(connection, [user_id, into])
        photos = read_descriptors(
            connection, [(face.face_id, face.model, stored_vector(face.descriptor)) for face in moved]
        )
        ids = [face.face_id for face in moved]
        pictures = thumbnails.read(connection, ids, gallery.retention.now())
        erased = statements.erase_faces(connection, faces.c.id.in_(ids))
        _store_anew(connection, target, moved, photos, pictures)
        own, other = known.get(into, NO_TERMS), known.get(user_id, NO_TERMS)
        days = [day for day in (own.last_seen, other.last_seen) if day]
        merged = replace(own, consent=own.consent or other.consent, last_seen=max(days, default=None))
        if merged != own:
            store_terms(connection, into, merged)
        for stored in stored_texts(connection, user_id):
            decisions.move(connection, stored, stored_text(connection, into))
        record(connection, "merge", people=[user_id, into])
        return erased

    with OverwritingFreedMemory():
        return gallery.erase_by(move)


def _store_anew(
    connection: sa.Connection,
    target: Person,
    moved: list[Record],
    photos: list[Embeddings],
    pictures: dict[int, Thumbnail],
) -> None:
    version = statements.next_version(connection)
    rows: dict[str, dict[str, Any]] = {}
    embeddings: dict[str, Embeddings] = {}
    shown: dict[str, Thumbnail] = {}
    for face, photo in zip(moved, photos, strict=True):
        # Not that of the photo, which is not kept: the person's own hash of it would let it be found as their old self.
        content_hash = secrets.token_hex(32)
        rows[content_hash] = {
            "user_id": target.user_id,
            "name": target.name,
            "embedding": photo[face.model],
            "created_at": face.created_at,
            "record_id": face.id,
            "is_number": target.numeric,
            "metadata": metadata_json(face.metadata),
            "model": face.model,
            "content_hash": content_hash,
            "version": version,
            "photo_facts": photo_facts_json(face.photo_facts),
        }
        embeddings[content_hash] = photo
        if face.face_id in pictures:
            shown[content_hash] = pictures[face.face_id]
    statements.insert_faces(connection, list(rows.values()))
    ids = statements.ids_by_hash(connection, list(rows))
    statements.add_companions(connection, {face_id: embeddings[content] for content, face_id in ids.items()})
    thumbnails.store(connection, {ids[content]: picture for content, picture in shown.items()})


def _faces_of(connection: sa.Connection, user_id: str) -> list[Record]:
    found = statements.read_records(connection, statements.of_user(connection, user_id))
    if not found:
        raise NotFound(NO_PERSON)
    return found
