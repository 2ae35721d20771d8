"""Which faces make the template of one person, as faces come and go.

A template is of one person's faces of one model, and its id is the lowest of theirs: a person with one face has that
face as the template. A record's person is its name, with all users of that name; see ``Person.same_as``.

Kept are hashes and numbers, 42 bytes for each face. A change is worked out for the people it touches: the time depends
on their faces, and on all faces only by one comparison of numbers each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from face128.domain.descriptors import Vector
from face128.gallery.rows.space_rows import FaceBatch, FaceOwners, read_descriptors_in, read_embeddings
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.search.index import Ids
from face128.gallery.search.membership import is_in, is_in_ascending
from face128.matching.asking_photos import first_photos, photos_ask
from face128.matching.templates import templates

PEOPLE_COUNTED_IN = 4096
"""Faces that are looked at first to learn whether people are few: to sort those of everybody takes milliseconds."""
MAX_READ_FACES = 4096  # whose descriptors are in memory at once: 2 MB
GROWTH = 8  # room for an eighth more: a million rows are not copied for every new one

_INTEGERS = ("ids", "users", "names", "keys", "templates")
_COLUMNS = {name: np.int64 for name in _INTEGERS} | {"by_name": np.bool_, "models": np.uint8}
"""Users and names are hashes; a key is a user or a name; a model is its number in ``_models``."""


@dataclass(frozen=True)
class TemplateChanges:
    gone: Ids
    """The ids of the templates that are no more, or are replaced."""
    keys: Ids
    """(new,) for each new template its person: the same for all templates of one person."""
    models: npt.NDArray[np.str_]
    """(new,)"""
    counts: Ids
    """(new,) the number of its faces."""
    face_ids: Ids
    """The faces of the new templates, one after the other; each ascending."""

    def several(self) -> TemplateChanges:
        """Only the new templates that have several faces."""
        several = self.counts > 1
        of_several = several.repeat(self.counts)
        return TemplateChanges(
            self.gone, self.keys[several], self.models[several], self.counts[several], self.face_ids[of_several]
        )


class PersonTemplates:
    """Not thread-safe: ``update`` needs exclusive access."""

    def __init__(self) -> None:
        self._models: list[str] = []
        self._columns: dict[str, npt.NDArray[Any]] = {name: np.empty(0, dtype) for name, dtype in _COLUMNS.items()}
        self._buffers = dict(self._columns)
        """What the columns are the beginnings of: with some room behind them."""
        self._several: dict[int, Ids] = {}
        """The faces of each template that has several."""

    @property
    def ids(self) -> Ids:
        """Of all faces, ascending."""
        return self._columns["ids"]

    def faces_of(self, template_id: int) -> Ids:
        """The faces of a template, ascending; none if it is not known."""
        several = self._several.get(template_id)
        single = np.array([template_id])
        return single[self.single_faces(single)] if several is None else several

    def single_faces(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """(ids,) whether each is a face that is known, and a template by itself."""
        known = self._columns["ids"]
        if not len(known):
            return np.zeros(len(ids), np.bool_)
        rows = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        alone = np.array([face_id not in self._several for face_id in ids.tolist()], np.bool_)
        return np.asarray((known[rows] == ids) & (self._columns["templates"][rows] == ids) & alone)

    def models_of_person(self, face_id: int) -> set[str]:
        """The models of all faces of the person whose face this is; none if it is not known."""
        rows = np.flatnonzero(self._columns["ids"] == face_id)
        of_person = self._columns["keys"] == self._columns["keys"][rows[0]] if len(rows) else rows
        return {self._models[number] for number in set(self._columns["models"][of_person].tolist())}

    def models_in_use(self) -> list[str]:
        return [self._models[number] for number in np.flatnonzero(np.bincount(self._columns["models"])).tolist()]

    def people_of(self, model: str) -> Ids:
        """For each face of the model the key of the person, which is the same for all their faces."""
        return np.asarray(self._columns["keys"][self._columns["models"] == self._models.index(model)])

    def asking(self) -> TemplateChanges | None:
        """The photos that ask, each as a template by itself; None where the templates themselves ask."""
        ids, keys = self._columns["ids"], self._columns["keys"]
        if not self._several or not all(photos_ask(len(np.unique(some))) for some in (keys[:PEOPLE_COUNTED_IN], keys)):
            return None
        rows = first_photos(keys)  # ascending ids of each
        models = np.array(self._models)[self._columns["models"][rows]]
        return TemplateChanges(ids[:0], keys[rows], models, np.ones(len(rows), np.int64), ids[rows])

    def update(self, erased: Ids, added: FaceOwners) -> TemplateChanges:
        """Remove the faces ``erased`` and add ``added``; a face that is there already is replaced."""
        columns = self._columns
        leaving = is_in_ascending(columns["ids"], np.concatenate([erased, added.ids]))
        touched_users = np.unique(np.concatenate([columns["users"][leaving], added.users]))
        touched_names = np.unique(np.concatenate([columns["names"][leaving], added.names]))
        before = columns["templates"][leaving]
        self._replace(leaving, added)

        # A record joins the users of its name to one person, so with a name all its users are touched.
        users, names = columns["users"], columns["names"]
        of_name = is_in(names, touched_names)
        of_user = is_in(users, np.union1d(touched_users, users[of_name]))
        rows = np.flatnonzero(of_name | of_user)
        by_name = self._columns["by_name"]
        record_names = names[:0]
        if by_name.any():
            record_names = np.unique(names[by_name & is_in(names, np.unique(names[rows]))])
        keys = np.where(by_name[rows] | np.isin(names[rows], record_names), names[rows], users[rows])
        # The faces that another, untouched name joins stay as they are.
        touched = (keys == users[rows]) | of_name[rows]
        return self._regroup(rows[touched], keys[touched], before)

    def _replace(self, leaving: npt.NDArray[np.bool_], added: FaceOwners) -> None:
        """Take these rows away and add the new ones, in the order of their ids."""
        self._models += sorted(set(added.models) - set(self._models))
        numbers = {model: number for number, model in enumerate(self._models)}
        new: dict[str, Any] = {"ids": added.ids, "users": added.users, "names": added.names, "by_name": added.by_name}
        new["models"] = [numbers[model] for model in added.models]
        new |= {"keys": np.full(len(added.ids), -1), "templates": np.full(len(added.ids), -1)}
        order = np.argsort(added.ids, kind="stable")
        rows = {name: np.asarray(new[name], dtype)[order] for name, dtype in _COLUMNS.items()}
        columns, ids = self._columns, self._columns["ids"]
        if not leaving.any() and (not len(ids) or not len(order) or rows["ids"][0] > ids[-1]):  # usually
            self._append(rows)
            return
        for name in columns:
            columns[name] = np.concatenate([columns[name][~leaving], rows[name]])
        order = np.argsort(columns["ids"], kind="stable")
        for name in columns:
            columns[name] = self._buffers[name] = columns[name][order]

    def _append(self, rows: dict[str, npt.NDArray[Any]]) -> None:
        start = len(self._columns["ids"])
        end = start + len(rows["ids"])
        for name, values in rows.items():
            if end > len(self._buffers[name]):
                room = np.zeros(end - start + end // GROWTH, values.dtype)
                self._buffers[name] = np.concatenate([self._columns[name], room])
            self._buffers[name][start:end] = values
            self._columns[name] = self._buffers[name][:end]

    def _regroup(self, rows: Ids, keys: Ids, before: Ids) -> TemplateChanges:
        """Make the groups of these rows anew. ``before`` are templates that have lost a face."""
        ids, all_keys, all_templates = (self._columns[name] for name in ("ids", "keys", "templates"))
        gone = set(np.concatenate([before, all_templates[rows]]).tolist()) - {-1}
        order = np.lexsort((ids[rows], self._columns["models"][rows], keys))
        rows, keys = rows[order], keys[order]
        face_ids, models = ids[rows], self._columns["models"][rows]
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = (keys[1:] != keys[:-1]) | (models[1:] != models[:-1])
        starts = np.flatnonzero(begins)
        counts, templates_ = np.diff(np.append(starts, len(rows))), face_ids[starts]
        changed = np.ones(len(starts), np.bool_)
        for group in np.flatnonzero(np.isin(templates_, list(gone))).tolist():
            own = slice(starts[group], starts[group] + counts[group])
            same_faces = np.array_equal(self.faces_of(int(templates_[group])), face_ids[own])
            changed[group] = not (same_faces and (all_keys[rows[own]] == keys[own]).all())
        gone -= set(templates_[~changed].tolist())
        all_keys[rows], all_templates[rows] = keys, templates_.repeat(counts)
        for template in gone:
            self._several.pop(template, None)
        for group in np.flatnonzero(changed & (counts > 1)).tolist():
            own = slice(starts[group], starts[group] + counts[group])
            self._several[int(templates_[group])] = face_ids[own].copy()
        return TemplateChanges(
            np.array(sorted(gone), np.int64),
            keys[starts][changed],
            np.array(self._models or [""])[models[starts][changed]],
            counts[changed],
            face_ids[changed.repeat(counts)],
        )


def template_batches(
    connection: sa.Connection, changes: TemplateChanges, space: StoredSpace
) -> Iterator[tuple[str, FaceBatch]]:
    """The model, and the new templates as rows of a batch, read from the table; each batch is of one model.

    The vectors are float64; ``users`` and ``names`` are both the person's key.
    """
    ends = np.cumsum(changes.counts)
    blocks = ends // MAX_READ_FACES
    for model in np.unique(changes.models).tolist():
        of_model = changes.models == model
        for block in np.unique(blocks[of_model]).tolist():
            groups = np.flatnonzero(of_model & (blocks == block))
            faces = [changes.face_ids[ends[group] - changes.counts[group] : ends[group]] for group in groups.tolist()]
            keys, ids = changes.keys[groups], np.array([own[0] for own in faces], np.int64)
            kept, vectors = _templates(connection, faces, model, space)
            ids, keys = ids[kept], keys[kept]
            yield model, FaceBatch(ids, vectors, keys, keys, np.zeros(len(ids), np.bool_))


def joined(batches: list[FaceBatch], dimension: int) -> FaceBatch:
    """The rows of several batches in one."""
    empty = np.empty(0, np.int64)
    nobody = FaceBatch(empty, np.empty((0, dimension)), empty, empty, np.empty(0, np.bool_))
    columns = zip(*(vars(batch).values() for batch in [nobody, *batches]), strict=True)
    return FaceBatch(*(np.concatenate(column) for column in columns))


def _templates(
    connection: sa.Connection, faces: list[Ids], model: str, space: StoredSpace
) -> tuple[npt.NDArray[np.intp], Vector]:
    """(people, dimension) the templates of these people's faces, and whose: those with a face that can be read."""
    face_ids = np.concatenate(faces).tolist()
    people = np.arange(len(faces)).repeat([len(own) for own in faces])
    rows = read_embeddings(connection, face_ids)
    stored = dict(zip([row[0] for row in rows], read_descriptors_in(connection, rows, space), strict=True))
    readable = [place for place, face_id in enumerate(face_ids) if face_id in stored]
    if not readable:
        return np.empty(0, np.intp), np.empty((0, space.dimension))
    vectors = vectors_of([model] * len(readable), [stored[face_ids[place]] for place in readable])
    found = templates(vectors, people[readable], space.metric, space.cohort_cap).vectors
    return np.unique(people[readable]), found
