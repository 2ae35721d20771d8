"""Stores some hundred rows of a file, in a writing transaction."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from face128.gallery.rows.all_collections import free_record_ids
from face128.gallery.rows.records import Person
from face128.gallery.rows.statements import (
    add_companions,
    ids_by_hash,
    insert_faces,
    next_version,
    read_ids,
    resolve_person,
    stored_people,
    stored_record_ids,
)
from face128.gallery.trail.chain import record
from face128.gallery.transfer.file_rows import Row, embeddings
from face128.gallery.transfer.import_terms import ImportTerms

NO_COLUMNS = ("companions", "terms", "has_id")  # of a Row


def are_stored(connection: sa.Connection, rows: Sequence[Row]) -> list[bool]:
    """Whether each is stored: the descriptor of the person, or another face with the id of the record."""
    if not read_ids(connection, sa.true(), 1):  # the first import of a gallery
        return [False] * len(rows)
    return _look_up(connection, rows)[0]


def _look_up(connection: sa.Connection, rows: Sequence[Row]) -> tuple[list[bool], set[str]]:
    """Whether each is stored, and those of their people who have a face."""
    people = stored_people(connection, list({row["user_id"] for row in rows}))
    # Of anybody else nothing is stored: a content hash is of one user_id, but that of a record, which has an id. So
    # new people take one statement; other writers wait meanwhile.
    looked_up = [row for row in rows if row["has_id"] or row["user_id"] in people]
    hashes = ids_by_hash(connection, [row["content_hash"] for row in looked_up])
    ids = stored_record_ids(connection, [row["record_id"] for row in looked_up if row["has_id"]])
    return [row["content_hash"] in hashes or row["record_id"] in ids for row in rows], people


def store_rows(connection: sa.Connection, rows: Sequence[Row], terms: ImportTerms) -> int:
    """Store those that are not stored, in their order, and return how many. A photo gets the companions it lacks."""
    by_content: dict[str, Row] = {}
    are_there, people = _look_up(connection, rows)
    for row, is_there in zip(rows, are_there, strict=True):
        if not is_there:
            by_content.setdefault(row["content_hash"], row)
    new = list({row["record_id"]: row for row in reversed(by_content.values())}.values())[::-1]
    if new:
        free_record_ids(connection, [row for row in new if row["has_id"]])
        _give_names(connection, new, people)
        version = next_version(connection)
        columns = [{name: value for name, value in row.items() if name not in NO_COLUMNS} for row in new]
        insert_faces(connection, [row | {"version": version} for row in columns])
        terms.store(connection, new)
        record(connection, "import", people=dict.fromkeys(row["user_id"] for row in new))
    several = {row["content_hash"]: embeddings(row) for row in rows if row["companions"]}
    if several:
        stored_ids = ids_by_hash(connection, list(several))
        add_companions(connection, {face_id: several[content] for content, face_id in stored_ids.items()})
    return len(new)


def _give_names(connection: sa.Connection, new: Sequence[Row], stored: set[str]) -> None:
    """Give all faces of a person the last name of the new ones; the kind of the regNo is that of the stored ones.

    ``stored`` are those who have a face.
    """
    people = {row["user_id"]: Person(row["name"], row["user_id"], row["is_number"]) for row in new}
    for user_id in people.keys() & stored:
        people[user_id] = resolve_person(connection, people[user_id])
    for row in new:
        person = people[row["user_id"]]
        row |= {"name": person.name, "is_number": person.numeric}
