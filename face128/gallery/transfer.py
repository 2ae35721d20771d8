"""Gives the gallery out and takes members in, as files in the shape that /match takes as ``enrolled``.

An export is complete: beside a member's ``descriptors`` stands in ``faces`` what else their records have. /match passes
over that field; an import restores it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import IO, Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import to_base64
from face128.domain.model_card import CARDS, DLIB, ModelCard, find_card
from face128.errors import InvalidRequest, ModelMismatch
from face128.gallery import writes
from face128.gallery.gallery import Gallery
from face128.gallery.import_duplicates import refuse_overlaps
from face128.gallery.index_sync import comparable
from face128.gallery.records import COLUMNS, NewFace, Person, Record
from face128.gallery.tables import faces
from face128.match_body import parser

Row = dict[str, Any]


def export(gallery: Gallery, file: IO[str], model: str | None = None) -> int:
    """Write everybody, one member a line, and return how many faces they have.

    Raises ModelMismatch where the gallery has faces of several models and none is named: a file is of one model.
    """
    with gallery.database.reading() as connection:
        models = connection.scalars(sa.select(faces.c.model).distinct()).all()
        if model is None and len(models) > 1:
            raise ModelMismatch(f"The gallery has faces of {', '.join(sorted(models))}: export them one by one.")
        name = model or (models[0] if models else DLIB.name)
        wanted = sa.select(*COLUMNS).where(faces.c.model == name).order_by(faces.c.user_id, faces.c.id)
        found = (Record.of(row) for row in connection.execute(wanted.execution_options(stream_results=True)))
        count = 0
        file.write(f'{{"model": {json.dumps(name)}, "enrolled": [')
        for number, (_, his) in enumerate(groupby(found, key=lambda record: record.person.user_id)):
            records = list(his)
            file.write((",\n" if number else "\n") + json.dumps(_member(records), ensure_ascii=False))
            count += len(records)
        file.write("\n]}\n")
    return count


def read(document: bytes) -> tuple[ModelCard, list[Row]]:
    """The model that made a file's descriptors, and the rows that they become.

    Raises what /match raises for a bad list, and ModelMismatch for descriptors of several models or an unknown one.
    """
    try:
        root = json.loads(document)
    except (ValueError, RecursionError):
        raise InvalidRequest("The file is not JSON in UTF-8.") from None
    members = root.get("enrolled") if isinstance(root, dict) else root
    if not isinstance(members, list):
        raise InvalidRequest("The file is a list of members, or an object with that list in enrolled.")
    card = _card(members, root.get("model") if isinstance(root, dict) else None)
    body = {"descriptor": [0] * card.dimension, "model": card.name, "enrolled": members}
    parsed = parser.parse(json.dumps(body).encode(), max_members=len(document)).enrolled
    assert parsed is not None
    rows: list[Row] = []
    starts = np.searchsorted(parsed.owners, np.arange(len(members) + 1))
    for index, member in enumerate(members):
        descriptors = parsed.vectors[starts[index] : starts[index + 1]].astype(np.float32)
        rows += _rows(member, descriptors, card) if len(descriptors) else []
    _refuse_ambiguous(rows)
    return card, rows


def add(gallery: Gallery, card: ModelCard, rows: list[Row], *, force: bool = False) -> int:
    """Enrol the rows of a file, all or none, and return how many are new. Rows that are there already stay.

    Unless ``force``, raises Duplicate where faces of two people are within the threshold, and ModelMismatch where
    the gallery has nobody whom these faces could be compared with.
    """
    with gallery.database.writing() as connection:
        if not force:
            _refuse_foreign(connection, card)
        hashes, ids = _known(connection, faces.c.content_hash), _known(connection, faces.c.record_id)
        new = [row for row in rows if row["content_hash"] not in hashes and row["record_id"] not in ids]
        if not force:
            refuse_overlaps(connection, new, card)
        known = _known(connection, faces.c.user_id)
        for row in new:
            if row["user_id"] in known:
                row["is_number"] = writes.settle(
                    connection, Person(row["name"], row["user_id"], row["is_number"])
                ).numeric
        if new:
            version = writes.next_version(connection)
            connection.execute(sa.insert(faces), [{**row, "version": version} for row in new])
    gallery.load()
    return len(new)


def statistics(gallery: Gallery) -> Row:
    """People, faces, faces a model, and the oldest and the newest."""
    count = sa.func.count()
    with gallery.database.reading() as connection:
        models = connection.execute(
            sa.select(faces.c.model, count).group_by(faces.c.model).order_by(faces.c.model)
        ).all()
        people = connection.execute(sa.select(sa.func.count(faces.c.user_id.distinct()))).scalar_one()
        first, last = connection.execute(
            sa.select(sa.func.min(faces.c.created_at), sa.func.max(faces.c.created_at))
        ).one()
    return {
        "people": people,
        "faces": sum(number for _, number in models),
        "models": {name: number for name, number in models},
        "oldest": first and first.isoformat(timespec="seconds"),
        "newest": last and last.isoformat(timespec="seconds"),
    }


def _member(records: list[Record]) -> Row:
    last = records[-1].person
    return {
        "regNo": last.reg_no,
        "name": last.name,
        "descriptors": [to_base64(record.descriptor.astype(np.float32)) for record in records],
        "model": records[0].model,
        "faces": [
            {"id": record.id, "metadata": record.metadata, "created_at": record.created_at.isoformat()}
            for record in records
        ],
    }


def _rows(member: Row, descriptors: Any, card: ModelCard) -> Iterator[Row]:
    reg_no = member["regNo"]
    user_id = reg_no if isinstance(reg_no, str) else json.dumps(reg_no)
    details = member.get("faces")
    if not (isinstance(details, list) and len(details) == len(descriptors)):
        details = [{}] * len(descriptors)
    for descriptor, detail in zip(descriptors, details, strict=True):
        try:
            person = Person(
                member.get("name"), user_id, not isinstance(reg_no, str), by_name=detail.get("id") == user_id
            )
            face = NewFace(descriptor, descriptor.tobytes(), dict(detail.get("metadata", {})))
            row = face.row(person, card, 0)
            if "id" in detail:
                row |= {"record_id": str(detail["id"]), "created_at": datetime.fromisoformat(detail["created_at"])}
        except InvalidRequest as error:
            raise InvalidRequest(str(error), regNo=reg_no, **error.context) from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InvalidRequest("What stands in faces is not what an export writes.", regNo=reg_no) from None
        yield row


def _card(members: list[Any], named: Any) -> ModelCard:
    """The one model of all members; dlib's where none is named, as in /match."""
    names = {str(member.get("model") or named or DLIB.name) for member in members if isinstance(member, dict)}
    if len(names) > 1:
        raise ModelMismatch(f"The file mixes descriptors of {', '.join(sorted(names))}: import them one by one.")
    name = names.pop() if names else str(named or DLIB.name)
    card = find_card(name)
    if card is None:
        raise ModelMismatch(f"The file's descriptors are of another model than {', '.join(CARDS)}.")
    return card


def _refuse_ambiguous(rows: list[Row]) -> None:
    kinds: dict[str, bool] = {}
    for row in rows:
        if kinds.setdefault(row["user_id"], row["is_number"]) != row["is_number"]:
            raise InvalidRequest("One regNo stands both as a number and as a string.", field="regNo")


def _refuse_foreign(connection: sa.Connection, card: ModelCard) -> None:
    models = set(connection.scalars(sa.select(faces.c.model).distinct()).all())
    if models and not models & comparable(card):
        raise ModelMismatch(f"The gallery's faces are of {', '.join(sorted(models))}; the file's are of {card.name}.")


def _known(connection: sa.Connection, column: sa.Column[str]) -> set[str]:
    return set(connection.scalars(sa.select(column)).all())
