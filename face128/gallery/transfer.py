"""Exports and imports the gallery as files whose ``enrolled`` is the list of members that /match takes.

An export is complete: each member's ``faces`` holds what their records have besides ``descriptors``. /match ignores
that field; an import restores it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import IO, Any

import numpy as np
import sqlalchemy as sa

from face128.domain import decision_models, strict_json
from face128.domain.descriptors import Descriptors, to_base64
from face128.domain.members import MemberList, ModelRows
from face128.domain.model_card import CARDS, DLIB, ModelCard, find_card
from face128.errors import InvalidRequest, ModelMismatch
from face128.gallery.gallery import Gallery
from face128.gallery.import_duplicates import refuse_duplicates
from face128.gallery.records import RECORD_COLUMNS, NewFace, Person, Record, is_storable_id, stored_vector
from face128.gallery.space_rows import Embeddings
from face128.gallery.statements import (
    add_companions,
    count_faces,
    ids_by_hash,
    next_version,
    resolve_person,
    stored_models,
)
from face128.gallery.stored_space import comparable_models
from face128.gallery.tables import companions, faces
from face128.match_body import parser

Row = dict[str, Any]

Photo = dict[str, Descriptors]
"""The descriptors of one photo, by their models."""


def export_members(gallery: Gallery, file: IO[str], model: str | None = None) -> int:
    """Write all members, one a line, and return the number of their faces.

    Raises ModelMismatch if the gallery has faces of several models and none is named: a file is of one model.
    """
    with gallery.database.reading() as connection:
        models = stored_models(connection)
        if model is None and len(models) > 1:
            raise ModelMismatch(f"The gallery has faces of {', '.join(models)}: export them one by one.")
        name = model or (models[0] if models else DLIB.name)
        others = companions.c.model, companions.c.embedding
        with_others = faces.outerjoin(companions, companions.c.face_id == faces.c.id)
        wanted = sa.select(*RECORD_COLUMNS, *others).select_from(with_others).where(faces.c.model == name)
        wanted = wanted.order_by(faces.c.user_id, faces.c.id, companions.c.model)
        rows = connection.execute(wanted.execution_options(stream_results=True))
        count, separator = 0, "\n"
        file.write(f'{{"model": {json.dumps(name)}, "enrolled": [')
        for _, group in groupby(_photos(rows), key=lambda photo: photo[0].person.user_id):
            photos = list(group)
            file.write(separator + json.dumps(_member(photos), ensure_ascii=False))
            count += len(photos)
            separator = ",\n"
        file.write("\n]}\n")
    return count


def parse_file(document: bytes) -> tuple[ModelCard, list[Row]]:
    """The model of a file's descriptors, and their rows for the table of faces; ``companions`` are for the other table.

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
    for index, (member, photos) in enumerate(zip(members, _photos_of(parsed, card), strict=True)):
        rows += _rows(member, f"enrolled[{index}]", photos, card) if photos else []
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
    in_file = {card.name, *(row["model"] for row in rows), *(model for row in rows for model in row["companions"])}
    cards = [card, *(other for model in sorted(in_file - {card.name}) if (other := find_card(model)))]
    with gallery.database.writing() as connection:
        models = {*stored_models(connection), *_stored(connection, companions.c.model)}
        if models and not force and all(comparable_models(one).isdisjoint(models) for one in cards):
            named = f"The gallery's faces are of {', '.join(sorted(models))}; the file's are of {', '.join(in_file)}."
            raise ModelMismatch(named)
        hashes, ids = _stored(connection, faces.c.content_hash), _stored(connection, faces.c.record_id)
        new = [row for row in rows if row["content_hash"] not in hashes and row["record_id"] not in ids]
        if new and not force:
            order = decision_models.spaces(cards, gallery.decision_models) if len(cards) > 1 else cards
            refuse_duplicates(connection, new, [_embeddings(row) for row in new], order)
        known = _stored(connection, faces.c.user_id)
        for row in new:
            if row["user_id"] in known:
                person = Person(row["name"], row["user_id"], row["is_number"])
                row["is_number"] = resolve_person(connection, person).numeric
        if new:
            version = next_version(connection)
            columns = [{name: value for name, value in row.items() if name != "companions"} for row in new]
            connection.execute(sa.insert(faces), [row | {"version": version} for row in columns])
        several = {row["content_hash"]: _embeddings(row) for row in rows if row["companions"]}
        stored = ids_by_hash(connection, list(several))
        add_companions(connection, {face_id: several[content] for content, face_id in stored.items()})
    gallery.load()
    return len(new)


def statistics(gallery: Gallery) -> Row:
    """The number of people and photos, the photos with a descriptor of each model, and the oldest and newest time."""
    created = faces.c.created_at
    summary = sa.select(sa.func.count(faces.c.user_id.distinct()), sa.func.min(created), sa.func.max(created))
    models: Counter[str] = Counter()
    with gallery.database.reading() as connection:
        people, first, last = connection.execute(summary).one()
        photos = count_faces(connection)
        for table in (faces, companions):
            by_model = sa.select(table.c.model, sa.func.count()).group_by(table.c.model)
            models.update({model: count for model, count in connection.execute(by_model)})
    return {
        "people": people,
        "faces": photos,
        "models": dict(sorted(models.items())),
        "oldest": first and first.isoformat(timespec="seconds"),
        "newest": last and last.isoformat(timespec="seconds"),
    }


def _photos(rows: Iterable[Any]) -> Iterator[tuple[Record, Embeddings]]:
    """The records with the descriptors of their photos, from rows of which each has one companion."""
    for _, of_photo in groupby(rows, key=itemgetter(0)):
        same = list(of_photo)
        record = Record.from_row(same[0])
        yield record, {record.model: stored_vector(record.descriptor)} | {row[-2]: row[-1] for row in same if row[-2]}


def _member(photos: list[tuple[Record, Embeddings]]) -> Row:
    records = [record for record, _ in photos]
    last = records[-1].person
    models = list(dict.fromkeys(model for _, photo in photos for model in photo))
    by_model = {model: [_base64(photo.get(model)) for _, photo in photos] for model in models}
    return {
        "regNo": last.reg_no,
        "name": last.name,
        "descriptors": by_model if len(models) > 1 else by_model[models[0]],
        "model": records[0].model,
        "faces": [
            {"id": record.id, "metadata": record.metadata, "created_at": record.created_at.isoformat()}
            | ({"photo_facts": record.photo_facts} if record.photo_facts else {})
            for record in records
        ],
    }


def _base64(embedding: bytes | None) -> str | None:
    return None if embedding is None else to_base64(np.frombuffer(embedding, "<f4"))


def _photos_of(members: MemberList, card: ModelCard) -> list[list[Photo]]:
    """The photos of each member, in the order of their places."""
    of_models = members.of_models or (ModelRows(card, members.vectors, members.owners, members.owners),)
    found: list[dict[int, Photo]] = [{} for _ in members.reg_nos]
    for one in of_models:
        numbers = np.arange(len(one.owners)) if not members.of_models else one.photos
        vectors = one.vectors.astype(np.float32)
        for owner, number, vector in zip(one.owners.tolist(), numbers.tolist(), vectors, strict=True):
            found[owner].setdefault(number, {})[one.card.name] = vector
    return [[own[number] for number in sorted(own)] for own in found]


def _rows(member: Row, place: str, photos: list[Photo], card: ModelCard) -> Iterator[Row]:
    reg_no = member["regNo"]
    user_id = reg_no if isinstance(reg_no, str) else json.dumps(reg_no)
    details = member.get("faces")
    if not (isinstance(details, list) and len(details) == len(photos)):
        details = [{}] * len(photos)
    for photo, detail in zip(photos, details, strict=True):
        model = card.name if card.name in photo else min(photo)
        try:
            by_name = detail.get("id") == user_id
            person = Person(member.get("name"), user_id, not isinstance(reg_no, str), by_name)
            metadata, facts = dict(detail.get("metadata", {})), dict(detail.get("photo_facts", {}))
            face = NewFace(photo[model], photo[model].tobytes(), metadata, facts)
            row = face.table_row(person, find_card(model) or card, 0)
            row["companions"] = {other: stored_vector(photo[other]) for other in photo if other != model}
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


def _embeddings(row: Row) -> Embeddings:
    return {row["model"]: row["embedding"], **row["companions"]}


def _stored(connection: sa.Connection, column: sa.ColumnElement[str]) -> set[str]:
    return set(connection.scalars(sa.select(column).distinct()).all())
