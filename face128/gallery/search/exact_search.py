"""The faces or people nearest to a probe, in the exact order: an index finds candidates, their rows decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from operator import itemgetter

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Matrix, Vector, distances
from face128.gallery.rows.records import RECORD_COLUMNS, SearchHit
from face128.gallery.rows.space_rows import read_by_id, read_descriptors_in
from face128.gallery.rows.stored_rows import Row, opened, record_of
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.search.index import Ids
from face128.gallery.search.index_sync import Search
from face128.matching.templates import templates

ProbeVector = Matrix | Vector

# Relative: float32 changes a distance by about 1e-7 of the numbers that it is computed from.
FLOAT32_MARGIN = 1e-5
FIRST_COMPARED = 2
FIRST_CANDIDATES = 8  # enough for four faces of one person, and another person's
_COLUMNS = ", ".join(column.name for column in RECORD_COLUMNS)
_EMBEDDING, _MODEL = (_COLUMNS.split(", ").index(name) for name in ("embedding", "model"))


Found = tuple[float, int, Row]
"""The exact distance of a candidate, its id in the index, and its record's row."""
FacesOf = Callable[[list[int]], list[Ids]]
"""The ids of the faces of each template."""


def nearest_faces(
    connection: sa.Connection,
    search: Search,
    probe: ProbeVector,
    space: StoredSpace,
    candidates: int = FIRST_CANDIDATES,
) -> Iterator[SearchHit]:
    """All faces of the space, nearest first, and of equal distances the older first; read as they are consumed.

    The distance is that of ``descriptors.distances``. A face without a finite distance is left out. The first search
    is for so many ``candidates``.
    """
    return _nearest(connection, search, probe, candidates, lambda ids: _exact_faces(connection, ids, probe, space))


def nearest_templates(
    connection: sa.Connection,
    search: Search,
    faces_of: FacesOf,
    probe: ProbeVector,
    space: StoredSpace,
    candidates: int = FIRST_CANDIDATES,
) -> Iterator[SearchHit]:
    """As ``nearest_faces``, of all people, by their templates; ``search`` finds ids of templates.

    The record of a hit is the person's face that is nearest to the probe, and the distance that of the template.
    """

    def exact(ids: list[int]) -> list[Found]:
        return _exact_templates(connection, dict(zip(ids, faces_of(ids), strict=True)), probe, space)

    return _nearest(connection, search, probe, candidates, exact)


def _nearest(
    connection: sa.Connection,
    search: Search,
    probe: ProbeVector,
    candidates: int,
    exact: Callable[[list[int]], list[Found]],
) -> Iterator[SearchHit]:
    found: set[int] = set()
    with np.errstate(over="ignore"):
        query = probe.astype(np.float32)
    length = float(np.linalg.norm(probe))
    while True:
        ids, approximate = search(query, candidates)
        complete = len(ids) < candidates
        compared: list[Found] = []
        # The first few usually suffice: the rows of the others are then not read.
        steps = (0, FIRST_COMPARED, len(ids)) if len(ids) > FIRST_COMPARED else (0, len(ids))
        for start, end in pairwise(steps):
            compared = sorted(compared + exact(ids[start:end].tolist()), key=itemgetter(0, 1))
            # Faces that were not compared may be as near as the next candidate, within float32's error.
            last = complete and end == len(ids)
            certain_below = np.inf if last else lower_bound(float(approximate[min(end, len(ids) - 1)]), length)
            for distance, candidate_id, row in compared:
                if distance < certain_below and candidate_id not in found:
                    found.add(candidate_id)
                    if (record := record_of(connection, row)) is not None:
                        yield SearchHit(record, distance)
        if complete:
            return
        candidates *= 4


def lower_bound(approximate: float, length: float) -> float:
    """The least exact distance behind an index's ``approximate`` one, for a probe vector of this length."""
    return approximate - FLOAT32_MARGIN * (1 + approximate + length)


def _exact_faces(connection: sa.Connection, ids: list[int], probe: ProbeVector, space: StoredSpace) -> list[Found]:
    rows, vectors = _vectors(connection, opened(connection, read_by_id(connection, _COLUMNS, ids)), space)
    exact = distances(vectors, probe, space.metric).tolist() if rows else []
    return [(distance, row[0], row) for distance, row in zip(exact, rows, strict=True)]


def _exact_templates(
    connection: sa.Connection, faces: dict[int, Ids], probe: ProbeVector, space: StoredSpace
) -> list[Found]:
    """``faces`` has the faces of each template."""
    owners = {face_id: template for template, own in faces.items() for face_id in own.tolist()}
    unsorted = opened(connection, read_by_id(connection, _COLUMNS, list(owners)))
    rows, vectors = _vectors(connection, sorted(unsorted, key=lambda row: (owners[row[0]], row[0])), space)
    if not rows:
        return []
    template_ids = np.array([owners[row[0]] for row in rows])
    found = templates(vectors, template_ids, space.metric, space.cohort_cap)
    of_faces = distances(vectors, probe, space.metric)
    of_templates = distances(found.vectors, probe, space.metric).tolist()
    ends = [*found.first_rows[1:].tolist(), len(rows)]
    candidates = []
    for distance, start, end in zip(of_templates, found.first_rows.tolist(), ends, strict=True):
        nearest = start + int(np.nan_to_num(of_faces[start:end], nan=np.inf).argmin())
        candidates.append((distance, int(template_ids[start]), rows[nearest]))
    return candidates


def _vectors(connection: sa.Connection, rows: list[Row], space: StoredSpace) -> tuple[list[Row], Matrix]:
    """The descriptors of these faces in the space, without the faces that have none there."""
    photos = read_descriptors_in(connection, ((row[0], row[_MODEL], row[_EMBEDDING]) for row in rows), space)
    models = [space.model_of(photo) for photo in photos]
    in_space = [place for place, model in enumerate(models) if model is not None]
    if not in_space:
        return [], np.empty((0, space.dimension))
    chosen = [models[place] or "" for place in in_space]
    return [rows[place] for place in in_space], vectors_of(chosen, [photos[place] for place in in_space])
