"""The faces or people nearest to a probe, in the exact order: an index finds candidates, their rows decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Descriptors, Matrix, Vector, distances
from face128.domain.model_card import ModelCard
from face128.gallery.database import fetch_all
from face128.gallery.index import Ids
from face128.gallery.index_sync import Search
from face128.gallery.records import RECORD_COLUMNS, Record, SearchHit
from face128.matching.templates import templates

Probe = Matrix | Vector

# Relative: float32 changes a distance by about 1e-7 of the numbers that it is computed from.
FLOAT32_MARGIN = 1e-5
FIRST_CANDIDATES = 8  # enough for four faces of one person, and another person's
MAX_QUERY_IDS = 500
_BY_ID = f"SELECT {', '.join(column.name for column in RECORD_COLUMNS)} FROM faces WHERE id IN"  # noqa: S608  (constant)


Row = tuple[Any, ...]
"""Of RECORD_COLUMNS."""
Candidate = tuple[float, int, Row]
"""The exact distance of a candidate, its id in the index, and its record's row."""
FacesOf = Callable[[list[int]], list[Ids]]
"""The ids of the faces of each template."""


def nearest_faces(
    connection: sa.Connection, search: Search, probe: Probe, card: ModelCard, candidates: int = FIRST_CANDIDATES
) -> Iterator[SearchHit]:
    """All comparable faces, nearest first, and of equal distances the older first; read as they are consumed.

    The distance is that of ``descriptors.distances``. A face without a finite distance is left out. The first search
    is for so many ``candidates``.
    """
    return _nearest(search, probe, card, candidates, lambda ids: _exact_faces(connection, ids, probe, card))


def nearest_templates(
    connection: sa.Connection,
    search: Search,
    faces_of: FacesOf,
    probe: Probe,
    card: ModelCard,
    candidates: int = FIRST_CANDIDATES,
) -> Iterator[SearchHit]:
    """As ``nearest_faces``, of all people, by their templates; ``search`` finds ids of templates.

    The record of a hit is the person's face that is nearest to the probe, and the distance that of the template.
    """

    def exact(ids: list[int]) -> list[Candidate]:
        return _exact_templates(connection, dict(zip(ids, faces_of(ids), strict=True)), probe, card)

    return _nearest(search, probe, card, candidates, exact)


def _nearest(
    search: Search, probe: Probe, card: ModelCard, candidates: int, exact: Callable[[list[int]], list[Candidate]]
) -> Iterator[SearchHit]:
    found: set[int] = set()
    with np.errstate(over="ignore"):
        query = probe.astype(np.float32)
    length = float(np.linalg.norm(probe))
    while True:
        ids, approximate = search(query, card, candidates)
        complete = len(ids) < candidates
        # Faces that were not proposed may be as near as the last candidate, within float32's error.
        certain_below = np.inf if complete else lower_bound(float(approximate[-1]), length)
        for distance, candidate_id, row in sorted(exact(ids.tolist()), key=itemgetter(0, 1)):
            if distance < certain_below and candidate_id not in found:
                found.add(candidate_id)
                yield SearchHit(Record.from_row(row), distance)
        if complete:
            return
        candidates *= 4


def lower_bound(approximate: float, length: float) -> float:
    """The least exact distance behind an index's ``approximate`` one, for a probe vector of this length."""
    return approximate - FLOAT32_MARGIN * (1 + approximate + length)


def _exact_faces(connection: sa.Connection, ids: list[int], probe: Probe, card: ModelCard) -> list[Candidate]:
    rows = _read(connection, ids)
    exact = distances(_vectors(rows, card), probe, card.metric).tolist() if rows else []
    return [(distance, row[0], row) for distance, row in zip(exact, rows, strict=True)]


def _exact_templates(
    connection: sa.Connection, faces: dict[int, Ids], probe: Probe, card: ModelCard
) -> list[Candidate]:
    """``faces`` has the faces of each template."""
    owners = {face_id: template for template, own in faces.items() for face_id in own.tolist()}
    rows = sorted(_read(connection, list(owners)), key=lambda row: (owners[row[0]], row[0]))
    if not rows:
        return []
    vectors, template_ids = _vectors(rows, card), np.array([owners[row[0]] for row in rows])
    found = templates(vectors, template_ids, card.metric, card.cohort_cap)
    of_faces = distances(vectors, probe, card.metric)
    of_templates = distances(found.vectors, probe, card.metric).tolist()
    ends = [*found.first_rows[1:].tolist(), len(rows)]
    candidates = []
    for distance, start, end in zip(of_templates, found.first_rows.tolist(), ends, strict=True):
        nearest = start + int(np.nan_to_num(of_faces[start:end], nan=np.inf).argmin())
        candidates.append((distance, int(template_ids[start]), rows[nearest]))
    return candidates


def _read(connection: sa.Connection, face_ids: list[int]) -> list[Row]:
    """Their rows. One that was erased meanwhile is left out."""
    rows: list[Row] = []
    for start in range(0, len(face_ids), MAX_QUERY_IDS):
        block = ", ".join(map(str, face_ids[start : start + MAX_QUERY_IDS]))  # integers from the index: safe in SQL
        rows += fetch_all(connection, f"{_BY_ID} ({block})")
    return rows


def _vectors(rows: list[Row], card: ModelCard) -> Descriptors:
    return np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(len(rows), card.dimension)
