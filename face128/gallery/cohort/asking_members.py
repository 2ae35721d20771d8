"""Who asks in a comparison of the members with each other, and with whom: read some at a time, from the tables.

Each block is read in a transaction of its own: a long one would hold up the wiping of erased bytes. Who is erased
meanwhile is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Vector
from face128.domain.template import Template
from face128.gallery.cohort.sampled_tail import PERSON_STEP
from face128.gallery.rows.space_rows import read_owners
from face128.gallery.rows.statements import current_version
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.index import Ids
from face128.gallery.search.person_templates import PersonTemplates, TemplateChanges, template_batches
from face128.gallery.storage.database import Database

MAX_PAIRS = 200_000_000
"""Pairs of an asking person and a row, for which as many people ask: all of 14,000 with one photo each;"""
MIN_ASKING_PEOPLE = 1000
"""but no fewer than these. The standard error of a share of 1 % is then a third of it."""
MAX_OWN_PEOPLE = 1000
"""People with several photos, of those in a sample: they ask with each photo."""
MAX_OWN_PHOTOS = 16
"""Of a person, that a photo is compared with as their own."""
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Rows:
    """Photos, or templates: an element of each array for each."""

    ids: Ids
    """Of the faces; of a template, of its first."""
    vectors: Vector
    """(rows, dimension) float64"""
    keys: Ids
    """Of the people: equal for all rows of one."""
    models: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Everybody:
    """All people of a space, at one version of the gallery."""

    version: int
    templates: TemplateChanges
    """The faces of each template."""
    rows: TemplateChanges
    """What a probe is compared with: templates, or single faces."""
    keys: Ids
    """(people,) ascending."""
    first_faces: Ids
    """(people,) their oldest ones."""
    photo_counts: Ids
    """(people,)"""

    @classmethod
    def read(cls, database: Database, space: StoredSpace, template: Template) -> Everybody:
        with database.reading() as connection:
            version, owners = current_version(connection), read_owners(connection, space)
        templates = PersonTemplates().update(np.empty(0, np.int64), owners)
        single = _single(templates)
        keys, first, counts = np.unique(single.keys, return_index=True, return_counts=True)
        rows = templates if template == "mean" else single
        return cls(version, templates, rows, keys, single.face_ids[first], counts)

    def asking(self) -> tuple[Ids, Ids]:
        """The places of the people who ask as strangers, and of those with several photos, who ask as themselves.

        All, or of many a sample: it depends on the ids alone, so it is the same in each worker process.
        """
        scattered = np.argsort(self.first_faces.astype(np.uint64) * PERSON_STEP, kind="stable")
        asking = scattered[: max(MIN_ASKING_PEOPLE, MAX_PAIRS // max(1, len(self.rows.keys)))]
        several = scattered[self.photo_counts[scattered] > 1]
        return asking, several if len(asking) == len(self.keys) else several[:MAX_OWN_PEOPLE]

    def photos_of(self, people: Ids, limit: int) -> TemplateChanges:
        """The first photos of these people, each as a row."""
        single = _single(self.templates)
        chosen = np.flatnonzero(np.isin(single.keys, self.keys[people]))
        starts = np.searchsorted(single.keys[chosen], single.keys[chosen])  # ascending keys, and ids of each
        return _chosen(single, chosen[np.arange(len(chosen)) - starts < limit])

    def templates_of_several(self, people: Ids) -> TemplateChanges:
        """The templates of several photos of these people."""
        chosen = (self.templates.counts > 1) & np.isin(self.templates.keys, self.keys[people])
        return _chosen(self.templates, np.flatnonzero(chosen))


def blocks(database: Database, wanted: TemplateChanges, space: StoredSpace) -> Iterator[Rows]:
    """These templates, some at a time."""
    for start in range(0, len(wanted.keys), BLOCK_ROWS):
        block = _chosen(wanted, np.arange(start, min(start + BLOCK_ROWS, len(wanted.keys))))
        with database.reading() as connection:
            for model, batch in template_batches(connection, block, space):
                if len(batch.ids):
                    models = np.full(len(batch.ids), model)
                    yield Rows(batch.ids, batch.vectors.astype(np.float64), batch.users, models)


def read_rows(database: Database, wanted: TemplateChanges, space: StoredSpace) -> Rows:
    """These templates, in the order of the people, and of their ids."""
    parts = list(blocks(database, wanted, space))
    empty = np.empty(0, np.int64)
    nobody = Rows(empty, np.empty((0, space.dimension)), empty, np.empty(0, np.str_))
    columns = zip(*(vars(part).values() for part in [nobody, *parts]), strict=True)
    found = Rows(*(np.concatenate(column) for column in columns))
    order = np.lexsort((found.ids, found.keys))
    return Rows(*(column[order] for column in vars(found).values()))


def _single(changes: TemplateChanges) -> TemplateChanges:
    """Each face as a template by itself, in the order of the people, and of the ids."""
    keys, models = changes.keys.repeat(changes.counts), changes.models.repeat(changes.counts)
    order = np.lexsort((changes.face_ids, keys))
    ones = np.ones(len(order), np.int64)
    return TemplateChanges(np.empty(0, np.int64), keys[order], models[order], ones, changes.face_ids[order])


def _chosen(changes: TemplateChanges, groups: npt.NDArray[np.integer]) -> TemplateChanges:
    """These templates."""
    starts, counts = changes.counts.cumsum() - changes.counts, changes.counts[groups]
    places = np.arange(counts.sum()) - (counts.cumsum() - counts).repeat(counts) + starts[groups].repeat(counts)
    return TemplateChanges(
        np.empty(0, np.int64), changes.keys[groups], changes.models[groups], counts, changes.face_ids[places]
    )
