"""The estimate of ``stranger_risk`` in a large gallery, from a sample of its people.

The estimate's law has two numbers (matching/tails.py). Some hundred scores give them about as well as all, and the
index finds the nearest people of each. So an estimate is there within seconds, at any size, while to compare all people
with each other takes minutes, and memory for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Metric, Vector
from face128.domain.template import Template
from face128.gallery.cohort.cohort_snapshot import FIRST_CANDIDATES, ScoredCandidates
from face128.gallery.rows.records import Record, SearchHit
from face128.gallery.rows.space_rows import owner_numbers, read_descriptors_in, read_embeddings, read_owners
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.search.exact_search import ProbeVector
from face128.gallery.search.index import Ids
from face128.gallery.search.index_sync import Search
from face128.gallery.search.person_templates import PersonTemplates, TemplateChanges
from face128.gallery.storage.database import Database, fetch_all
from face128.matching.asking_photos import photos_ask
from face128.matching.cohort_score import COHORT_SIZE, cohort_scores, descriptor_lengths
from face128.matching.conformal import CohortScore
from face128.matching.tails import MIN_ESTIMATE_MEMBERS, GumbelTail
from face128.matching.templates import templates

SAMPLE_PEOPLE = 1000
"""Their quartiles have a standard error of 1.4 percentage points: that of an estimate of 1 % is a fifth of it."""
PERSON_STEP, FACE_STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x6A09E667F3BCC909)
"""The golden ratio and the root of 2, as parts of 2 ** 64. The multiples of such a number are evenly spread (Knuth, The
Art of Computer Programming, vol. 3, 6.4). With one for both choices, people would be chosen for their first face."""


@dataclass(frozen=True)
class Nearest:
    """How the nearest faces of a space are found, or people by their templates."""

    catch_up: Callable[[sa.Connection], object]
    """Bring to the transaction's version what ``search`` searches."""
    search: Search
    hits: Callable[[sa.Connection, ProbeVector, Search], Iterator[SearchHit]]
    """All of them, nearest first, by this search."""

    def candidates(self, probe: ProbeVector) -> ScoredCandidates:
        """The first candidates, without a score."""
        with np.errstate(over="ignore"):
            return ScoredCandidates(None, *self.search(probe.astype(np.float32), FIRST_CANDIDATES), self.search)


@dataclass(frozen=True)
class SampledTail:
    law: GumbelTail
    people: int
    """In the space, when the sample was taken."""
    faces: int
    version: int
    """Of the gallery."""
    linked_names: frozenset[int]
    """Hashes of the names of records that are also users' names: such a user is the person of that name."""

    def score(self, hits: Iterator[SearchHit], probe: Vector, metric: Metric) -> CohortScore | None:
        """The score of a probe with these ``hits``, nearest first; None if it has none."""
        own_score = searched_score(hits, probe, metric, self.people, self.linked_names)
        if own_score == math.inf:
            return None
        return CohortScore(own_score, self.law.stranger_risk(own_score), "estimate", sampled=True)


def take_sample(database: Database, space: StoredSpace, template: Template, nearest: Nearest) -> SampledTail | None:
    """None where there are too few people for an estimate.

    Each person is read in a transaction of its own: a long one would hold up the wiping of erased bytes.
    """
    with database.reading() as connection:
        version: int = fetch_all(connection, "SELECT version FROM state")[0][0]
        owners = read_owners(connection, space)
    linked = frozenset(np.intersect1d(owners.names[owners.by_name], owners.names[~owners.by_name]).tolist())
    everybody = PersonTemplates().update(np.empty(0, np.int64), owners)
    people, rows = _chosen_rows(everybody, template)
    scores = []
    for key, model, face_ids in rows if people >= MIN_ESTIMATE_MEMBERS else ():
        with database.reading() as connection:
            nearest.catch_up(connection)
            vector = _vector(connection, face_ids, model, space)
            if vector is not None:
                hits = nearest.hits(connection, vector, nearest.candidates(vector).search)
                scores.append(searched_score(hits, vector, space.metric, people, linked, key))
    if not scores:
        return None
    law = GumbelTail.of(np.array(scores), np.ones(len(scores)))
    return SampledTail(law, people, len(owners.ids), version, linked)


def searched_score(
    hits: Iterator[SearchHit],
    vector: Vector,
    metric: Metric,
    people: int,
    linked_names: frozenset[int],
    own: int | None = None,
) -> float:
    """The cohort score of a descriptor from its ``hits`` among so many ``people``, nearest first.

    ``own`` is the key of the person whose descriptor it is, if any: they do not count. Infinite if there is no score.
    """
    seen = {own}

    def of_new_members() -> Iterator[float]:
        for hit in hits:
            if (key := _key(hit.record, linked_names)) not in seen:
                seen.add(key)
                yield hit.distance

    nearest = np.full(COHORT_SIZE + 1, math.inf)
    found = list(islice(of_new_members(), len(nearest)))
    nearest[: len(found)] = found
    return float(cohort_scores(nearest[None], descriptor_lengths(vector[None], metric), people)[0])


def _key(record: Record, linked_names: frozenset[int]) -> int:
    """The same for all faces of a person: see PersonTemplates."""
    user, name, by_name = owner_numbers(*record.owner)
    return name if by_name or name in linked_names else user


def _chosen_rows(everybody: TemplateChanges, template: Template) -> tuple[int, Iterator[tuple[int, str, Ids]]]:
    """The number of people, and of each in the sample the key, and the model and the faces of one descriptor.

    Each person is as likely as any other, and so is each of their descriptors. The choice depends on the ids alone: it
    is the same in each worker process, and a few changes of the gallery change little of it.
    """
    single = template == "nearest" or photos_ask(len(np.unique(everybody.keys)))
    counts = np.ones(len(everybody.face_ids), np.int64) if single else everybody.counts
    keys, models = everybody.keys, everybody.models
    if single:
        keys, models = keys.repeat(everybody.counts), models.repeat(everybody.counts)
    starts = counts.cumsum() - counts
    ids = everybody.face_ids[starts]
    by_id, scattered = np.lexsort((ids, keys)), np.lexsort((ids.astype(np.uint64) * FACE_STEP, keys))
    first = np.unique(keys[by_id], return_index=True)[1]
    people = np.argsort(ids[by_id][first].astype(np.uint64) * PERSON_STEP, kind="stable")[:SAMPLE_PEOPLE]
    chosen = scattered[first][people].tolist()
    rows = ((int(keys[r]), str(models[r]), everybody.face_ids[starts[r] : starts[r] + counts[r]]) for r in chosen)
    return len(first), rows


def _vector(connection: sa.Connection, face_ids: Ids, model: str, space: StoredSpace) -> Vector | None:
    """The descriptor or the template of these faces; None if one of them was erased or encoded anew meanwhile."""
    rows = sorted(read_embeddings(connection, face_ids.tolist()))
    photos = read_descriptors_in(connection, rows, space)
    if len(photos) < len(face_ids) or any(space.model_of(photo) != model for photo in photos):
        return None
    vectors = vectors_of([model] * len(photos), photos)
    found: Vector = templates(vectors, np.zeros(len(photos), np.int64), space.metric, space.cohort_cap).vectors[0]
    return found
