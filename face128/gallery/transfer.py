"""Exports and imports the gallery as files whose ``enrolled`` is the list of members that /match takes.

An export is complete: each member's ``faces`` holds what their records have besides ``descriptors``. /match ignores
that field; an import restores it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import IO, Any

import numpy as np
import sqlalchemy as sa

from face128.domain import strict_json
from face128.domain.descriptors import distance, to_base64
from face128.domain.model_card import CARDS, DLIB, ModelCard, find_card
from face128.errors import Duplicate, InvalidRequest, ModelMismatch
from face128.gallery.gallery import Gallery
from face128.gallery.index import normalised
from face128.gallery.index_sync import comparable_models
from face128.gallery.records import RECORD_COLUMNS, NewFace, Person, Record, is_storable_id
from face128.gallery.statements import next_version, resolve_person, stored_models
from face128.gallery.tables import faces
from face128.match_body import parser

Row = dict[str, Any]

BLOCK_FACES = 256  # new faces compared with all others at once
FLOAT32_MARGIN = 1e-3  # far above float32's error; the exact distance decides


def export_members(gallery: Gallery, file: IO[str], model: str | None = None) -> int:
    """Write all members, one a line, and return the number of their faces.

    Raises ModelMismatch if the gallery has faces of several models and none is named: a file is of one model.
    """
    with gallery.database.reading() as connection:
        models = stored_models(connection)
        if model is None and len(models) > 1:
            raise ModelMismatch(f"The gallery has faces of {', '.join(models)}: export them one by one.")
        name = model or (models[0] if models else DLIB.name)
        wanted = sa.select(*RECORD_COLUMNS).where(faces.c.model == name).order_by(faces.c.user_id, faces.c.id)
        rows = connection.execute(wanted.execution_options(stream_results=True))
        count, separator = 0, "\n"
        file.write(f'{{"model": {json.dumps(name)}, "enrolled": [')
        for _, group in groupby(map(Record.from_row, rows), key=lambda record: record.person.user_id):
            records = list(group)
            file.write(separator + json.dumps(_member(records), ensure_ascii=False))
            count += len(records)
            separator = ",\n"
        file.write("\n]}\n")
    return count


def parse_file(document: bytes) -> tuple[ModelCard, list[Row]]:
    """The model of a file's descriptors, and their rows for the table of faces.

    Raises the errors of /match for a bad list, and ModelMismatch for descriptors of several models or an unknown one.
    """
    try:
        root = json.loads(document)
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnicodeDecodeError):
            strict_json.loads(document)  # names the member and the field with bytes that are not UTF-8
        raise InvalidRequest("The file is not JSON in UTF-8.") from None
    members = root.get("enrolled") if isinstance(root, dict) else root
    if not isinstance(members, list):
        raise InvalidRequest("The file is a list of members, or an object with that list in enrolled.")
    card = _card(members, root.get("model") if isinstance(root, dict) else None)
    body = {"descriptor": [0] * card.dimension, "model": card.name, "enrolled": members}
    parsed = parser.parse(json.dumps(body).encode(), max_members=len(document)).enrolled
    assert parsed is not None
    rows: list[Row] = []
    ends = np.searchsorted(parsed.owners, np.arange(1, len(members) + 1))
    vectors = np.split(parsed.vectors.astype(np.float32), ends)[:-1]
    for index, (member, descriptors) in enumerate(zip(members, vectors, strict=True)):
        rows += _rows(member, f"enrolled[{index}]", descriptors, card) if len(descriptors) else []
    kinds: dict[str, bool] = {}
    for row in rows:
        if kinds.setdefault(row["user_id"], row["is_number"]) != row["is_number"]:
            raise InvalidRequest("One regNo is both a number and a string.", field="regNo")
    return card, rows


def import_rows(gallery: Gallery, card: ModelCard, rows: list[Row], *, force: bool = False) -> int:
    """Enrol the rows of a file, all or none, and return how many are new. Stored faces stay as they are.

    Unless ``force``, raises Duplicate if faces of two people are within the threshold, and ModelMismatch if none of the
    gallery's faces is comparable with the file's.
    """
    with gallery.database.writing() as connection:
        models = stored_models(connection)
        if models and not force and comparable_models(card).isdisjoint(models):
            raise ModelMismatch(f"The gallery's faces are of {', '.join(models)}; the file's are of {card.name}.")
        hashes, ids = _stored(connection, faces.c.content_hash), _stored(connection, faces.c.record_id)
        new = [row for row in rows if row["content_hash"] not in hashes and row["record_id"] not in ids]
        if new and not force:
            _refuse_duplicates(connection, new, card)
        known = _stored(connection, faces.c.user_id)
        for row in new:
            if row["user_id"] in known:
                person = Person(row["name"], row["user_id"], row["is_number"])
                row["is_number"] = resolve_person(connection, person).numeric
        if new:
            version = next_version(connection)
            connection.execute(sa.insert(faces), [{**row, "version": version} for row in new])
    gallery.load()
    return len(new)


def statistics(gallery: Gallery) -> Row:
    """The number of people and faces, the faces of each model, and the oldest and newest time."""
    created = faces.c.created_at
    summary = sa.select(sa.func.count(faces.c.user_id.distinct()), sa.func.min(created), sa.func.max(created))
    by_model = sa.select(faces.c.model, sa.func.count()).group_by(faces.c.model).order_by(faces.c.model)
    with gallery.database.reading() as connection:
        people, first, last = connection.execute(summary).one()
        models: dict[str, int] = dict(connection.execute(by_model).tuples().all())
    return {
        "people": people,
        "faces": sum(models.values()),
        "models": models,
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
            | ({"photo_facts": record.photo_facts} if record.photo_facts else {})
            for record in records
        ],
    }


def _rows(member: Row, place: str, descriptors: Any, card: ModelCard) -> Iterator[Row]:
    reg_no = member["regNo"]
    user_id = reg_no if isinstance(reg_no, str) else json.dumps(reg_no)
    details = member.get("faces")
    if not (isinstance(details, list) and len(details) == len(descriptors)):
        details = [{}] * len(descriptors)
    for descriptor, detail in zip(descriptors, details, strict=True):
        try:
            by_name = detail.get("id") == user_id
            person = Person(member.get("name"), user_id, not isinstance(reg_no, str), by_name)
            metadata, facts = dict(detail.get("metadata", {})), dict(detail.get("photo_facts", {}))
            face = NewFace(descriptor, descriptor.tobytes(), metadata, facts)
            row = face.table_row(person, card, 0)
            if "id" in detail:
                if not is_storable_id(str(detail["id"])):
                    raise ValueError
                row |= {"record_id": str(detail["id"]), "created_at": datetime.fromisoformat(detail["created_at"])}
        except InvalidRequest as error:
            field = f"{place}.{error.context.get('field')}"
            raise InvalidRequest(str(error), regNo=reg_no, field=field) from None
        except (AttributeError, KeyError, TypeError, ValueError):
            sentence = "The field faces is not as an export writes it."
            raise InvalidRequest(sentence, regNo=reg_no, field=f"{place}.faces") from None
        yield row


def _card(members: list[Any], file_model: Any) -> ModelCard:
    """The one model of all members; dlib's if none is named, as in /match."""
    names = {str(member.get("model") or file_model or DLIB.name) for member in members if isinstance(member, dict)}
    if len(names) > 1:
        raise ModelMismatch(f"The file mixes descriptors of {', '.join(sorted(names))}: import them one by one.")
    name = names.pop() if names else str(file_model or DLIB.name)
    card = find_card(name)
    if card is None:
        raise ModelMismatch(f"The file's descriptors are of another model than {', '.join(CARDS)}.")
    return card


def _refuse_duplicates(connection: sa.Connection, new: list[dict[str, Any]], card: ModelCard) -> None:
    """Raise Duplicate for the first of the new rows within the threshold of another person's, stored or new."""
    columns = (faces.c.user_id, faces.c.name, faces.c.record_id, faces.c.embedding)
    stored = connection.execute(sa.select(*columns).where(faces.c.model.in_(comparable_models(card)))).mappings().all()
    rows: list[Any] = [*stored, *new]
    vectors = np.frombuffer(b"".join(row["embedding"] for row in rows), "<f4").reshape(-1, card.dimension)
    compared = normalised(vectors) if card.metric == "cosine" else vectors
    radius = card.threshold + FLOAT32_MARGIN
    max_square = 2 * radius if card.metric == "cosine" else radius * radius
    norms = np.vecdot(compared, compared)
    for start in range(len(stored), len(rows), BLOCK_FACES):
        block = slice(start, start + BLOCK_FACES)
        squares = norms[block, None] + norms - 2 * compared[block] @ compared.T
        for offset, other in zip(*np.nonzero(squares <= max_square), strict=True):
            one = start + offset
            a, b = rows[one], rows[other]
            if one == other or _person(a).same_as(_person(b)):
                continue
            if (exact := distance(vectors[one], vectors[other], card.metric)) <= card.threshold:
                labels = " and ".join(row["name"] or row["user_id"] for row in (a, b))
                context = {"user_id": b["user_id"], "name": b["name"], "distance": exact}
                raise Duplicate(f"{labels} have one face. If that is right: --force", **context)


def _person(row: Any) -> Person:
    return Person.from_row(row["user_id"], row["name"], False, row["record_id"])


def _stored(connection: sa.Connection, column: sa.ColumnElement[str]) -> set[str]:
    return set(connection.scalars(sa.select(column).distinct()).all())
