"""What is agreed with people, in the table ``people``: a row only where something is known.

A row goes with the person's last face. Its ``user_id`` is as in the person's faces: in clear while any of them is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date

import sqlalchemy as sa

from face128.domain.terms import NO_TERMS, TermChanges, Terms
from face128.errors import ConsentRequired
from face128.gallery.encryption.sealed_texts import destroy_key, open_text, seal_text
from face128.gallery.rows.records import Record
from face128.gallery.rows.stored_rows import stored_as, stored_text, stored_texts
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import collection_of, faces, in_collection, people
from face128.gallery.trail import decisions


def terms_of(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, Terms]:
    """What is known about these people, by their ids; who has no row is left out."""
    stored = {form: user_id for user_id in user_ids for form in stored_texts(connection, user_id)}
    known = {}
    for block in in_blocks(stored):
        for row in connection.execute(sa.select(people).where(_are(connection, block))):
            user_id = stored[row.user_id]
            consent = open_text(connection, row.consent_key, row.consent, user_id) if row.consent else None
            known[user_id] = Terms(row.expires_at, consent, row.last_seen)
    return known


def with_terms(connection: sa.Connection, records: Sequence[Record]) -> list[Record]:
    """The records, each with what is known about its person."""
    known = terms_of(connection, dict.fromkeys(record.person.user_id for record in records))
    return [replace(record, terms=known.get(record.person.user_id, record.terms)) for record in records]


def count_terms(connection: sa.Connection) -> dict[str, int]:
    """How many people of the collection are to be erased at a time of their own, and of how many a consent is known."""
    own = people.c.collection == collection_of(connection)
    counted = sa.select(sa.func.count(people.c.expires_at), sa.func.count(people.c.consent)).where(own)
    expiring, with_consent = connection.execute(counted).one()
    return {"with_expires_at": expiring, "with_consent": with_consent}


def forget_stray(connection: sa.Connection, user_id: str) -> Terms:
    """Before an enrolment: what is known about the person. Nothing is known about one without a face.

    An older version of face128, which erases somebody, leaves their row. For a writing transaction.
    """
    known = terms_of(connection, [user_id]).get(user_id, NO_TERMS)
    if known == NO_TERMS or _has_face(connection, user_id):
        return known
    forget_gone(connection, [user_id])
    return NO_TERMS


def agree(
    connection: sa.Connection, user_id: str, changes: TermChanges, before: Terms, *, require_consent: bool = False
) -> Terms:
    """Store the person's terms with these changes; ``before`` is what was known before their faces were replaced.

    Raises ConsentRequired if consent is required, and there is none. For a writing transaction.
    """
    known = terms_of(connection, [user_id]).get(user_id, NO_TERMS)
    terms = replace(before if known == NO_TERMS else known, **changes)
    if require_consent and terms.consent is None:
        raise ConsentRequired(field="consent")
    if terms != known:
        store_terms(connection, user_id, terms)
    return terms


def store_terms(connection: sa.Connection, user_id: str, terms: Terms) -> None:
    """Store what is known about a person who has a face. For a writing transaction."""
    _drop(connection, user_id)
    if terms == NO_TERMS:
        return
    key_id, consent = (None, None) if terms.consent is None else seal_text(connection, terms.consent, user_id)
    row = {
        "collection": collection_of(connection),
        "user_id": _stored(connection, user_id),
        "expires_at": terms.expires_at,
        "consent": consent,
        "consent_key": key_id,
        "last_seen": terms.last_seen,
    }
    connection.execute(sa.insert(people), row)


def seal(connection: sa.Connection, user_id: str) -> None:
    """Store the person's terms anew, and their decisions under the token, after all their faces were sealed.

    For a writing transaction.
    """
    decisions.move(connection, user_id, stored_text(connection, user_id))
    if known := terms_of(connection, [user_id]).get(user_id):
        store_terms(connection, user_id, known)


def saw(connection: sa.Connection, user_ids: Iterable[str], day: date) -> None:
    """Note that these people were recognised on this day. For a writing transaction."""
    seen = set(user_ids)
    known = terms_of(connection, seen)
    for user_id in sorted(seen):
        terms = known.get(user_id)
        if terms is None and _has_face(connection, user_id):
            store_terms(connection, user_id, Terms(last_seen=day))
        elif terms is not None and (terms.last_seen is None or terms.last_seen < day):
            forms = stored_texts(connection, user_id)
            connection.execute(sa.update(people).where(_are(connection, forms)).values(last_seen=day))


def forget_gone(connection: sa.Connection, user_ids: Iterable[str]) -> None:
    """Drop the rows of those of these people who have no face left. For a writing transaction."""
    for user_id in user_ids:
        if not _has_face(connection, user_id):
            _drop(connection, user_id)


def _drop(connection: sa.Connection, user_id: str) -> None:
    own = _are(connection, stored_texts(connection, user_id))
    for key_id in connection.scalars(sa.select(people.c.consent_key).where(own & people.c.consent_key.is_not(None))):
        destroy_key(connection, key_id)
    connection.execute(sa.delete(people).where(own))


def _are(connection: sa.Connection, stored: Collection[str]) -> sa.ColumnElement[bool]:
    return (people.c.collection == collection_of(connection)) & people.c.user_id.in_(stored)


def _has_face(connection: sa.Connection, user_id: str) -> bool:
    own = stored_as(connection, faces.c.user_id, user_id) & in_collection(connection)
    return connection.scalar(sa.select(faces.c.id).where(own).limit(1)) is not None


def _stored(connection: sa.Connection, user_id: str) -> str:
    """The id as the person's row is to have it."""
    token = stored_text(connection, user_id)
    if token == user_id:
        return user_id
    in_clear = (faces.c.user_id == user_id) & faces.c.key_id.is_(None) & in_collection(connection)
    return token if connection.scalar(sa.select(faces.c.id).where(in_clear).limit(1)) is None else user_id
