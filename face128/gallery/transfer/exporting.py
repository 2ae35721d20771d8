"""Exports the gallery as a file whose ``enrolled`` is the list of members that /match takes.

An export is complete: each member's ``faces`` holds what their records have besides ``descriptors``. /match ignores
that field; an import restores it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import IO, Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import to_base64
from face128.domain.model_card import DLIB
from face128.errors import ModelMismatch
from face128.gallery.gallery import Gallery
from face128.gallery.people.people import count_terms, with_terms
from face128.gallery.rows.records import RECORD_COLUMNS, Person, Record
from face128.gallery.rows.statements import BATCH_ROWS, count_faces, read_ids, stored_models
from face128.gallery.rows.stored_photos import records_with_companions
from face128.gallery.rows.stored_rows import Embeddings, readable
from face128.gallery.storage.tables import companions, faces, in_collection
from face128.terminal.progress import Progress

Row = dict[str, Any]

MIN_FACES_WITH_PROGRESS = 10_000  # some seconds


def export_members(gallery: Gallery, file: IO[str], model: str | None = None) -> int:
    """Write all members, one a line, and return the number of their faces.

    They stand in the order of creation. So a person who got photos at different times stands there several times.

    Raises ModelMismatch if the gallery has faces of several models and none is named: a file is of one model.
    """
    with gallery.database.reading() as connection:
        models = stored_models(connection)
        if model is None and len(models) > 1:
            raise ModelMismatch(f"The gallery has faces of {', '.join(models)}: export them one by one.")
        name = model or (models[0] if models else DLIB.name)
        of_model = faces.c.model == name
        total = count_faces(connection, of_model)
        shown = Progress("Exporting", total) if total >= MIN_FACES_WITH_PROGRESS else nullcontext()
        with shown as progress:
            count, separator = 0, "\n"
            file.write(f'{{"model": {json.dumps(name)}, "enrolled": [')
            for _, group in groupby(photos_with_descriptors(connection, of_model), key=_owner):
                photos = list(group)
                file.write(separator + json.dumps(_member(photos), ensure_ascii=False))
                count += len(photos)
                separator = ",\n"
                if progress:
                    progress.advance(len(photos))
            file.write("\n]}\n")
    return count


def statistics(gallery: Gallery) -> Row:
    """The number of people and photos, the photos with a descriptor of each model, and the oldest and newest time."""
    created = faces.c.created_at
    summary = sa.select(sa.func.count(faces.c.user_id.distinct()), sa.func.min(created), sa.func.max(created))
    models: Counter[str] = Counter()
    with gallery.database.reading() as connection:
        own: sa.ColumnElement[bool] = in_collection(connection, whole=True) & readable(connection)
        terms = count_terms(connection)
        people, first, last = connection.execute(summary.where(own)).one()
        photos = count_faces(connection)
        for table in (faces, companions):
            own = in_collection(connection, table, whole=True)
            by_model = sa.select(table.c.model, sa.func.count()).where(own).group_by(table.c.model)
            models.update({model: count for model, count in connection.execute(by_model)})
    return {
        "people": people,
        **terms,
        "faces": photos,
        "models": dict(sorted(models.items())),
        "oldest": first and first.isoformat(timespec="seconds"),
        "newest": last and last.isoformat(timespec="seconds"),
    }


def photos_with_descriptors(
    connection: sa.Connection, condition: sa.ColumnElement[bool]
) -> Iterator[tuple[Record, Embeddings]]:
    """The faces in the order of creation, with the descriptors of their photos.

    Some hundreds at a time, by key, all in one transaction: no database has to keep or to sort the whole result.
    """
    joined = faces.outerjoin(companions, companions.c.face_id == faces.c.id)
    wanted = sa.select(*RECORD_COLUMNS, companions.c.model, companions.c.embedding).select_from(joined)
    wanted = wanted.where(condition, in_collection(connection)).order_by(faces.c.id, companions.c.model)
    last = 0
    while ids := read_ids(connection, condition & (faces.c.id > last), BATCH_ROWS):
        last = ids[-1]
        rows = connection.execute(wanted.where(faces.c.id.between(ids[0], last))).all()
        photos = (list(of_photo) for _, of_photo in groupby(rows, key=itemgetter(0)))
        stored = [(same[0], {row[-2]: row[-1] for row in same if row[-2]}) for same in photos]
        found = list(records_with_companions(connection, stored))
        records = with_terms(connection, [record for record, _ in found])
        yield from zip(records, (embeddings for _, embeddings in found), strict=True)


def _owner(photo: tuple[Record, Embeddings]) -> Person:
    """Whom the photo belongs to: photos that follow each other make one member."""
    return photo[0].person


def _member(photos: list[tuple[Record, Embeddings]]) -> Row:
    records = [record for record, _ in photos]
    last = records[-1].person
    terms = replace(records[-1].terms, last_seen=None).to_json()
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
        **terms,
    }


def _base64(embedding: bytes | None) -> str | None:
    return None if embedding is None else to_base64(np.frombuffer(embedding, "<f4"))
