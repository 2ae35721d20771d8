"""A valid request to /match and its members, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from sys import getsizeof
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import Matrix
from face128.domain.model_card import ModelCard, pair_card
from face128.domain.probe import Probe
from face128.domain.template import Template

RegNo = int | float | str
Mask = npt.NDArray[np.bool_]

PAIRS_WITH_NONE = -1


@dataclass(frozen=True)
class SkippedMember:
    """A member that cannot be read, and why; ``?skip_invalid=true`` leaves such members out."""

    index: int
    """In the list that the client sent."""
    reg_no: RegNo | None
    """None if it cannot be read either."""
    field: str
    code: str


@dataclass(frozen=True)
class ModelRows:
    """The descriptors of one model in a list whose members name several."""

    card: ModelCard
    vectors: Matrix
    """(rows, dimension)"""
    owners: npt.NDArray[np.int64]
    """(rows,) the list index of each row's member, ascending."""
    photos: npt.NDArray[np.int64]
    """(rows,) which of the member's photos: rows of two models with one owner and one photo are a pair, except those of
    PAIRS_WITH_NONE."""


@dataclass(frozen=True)
class MemberList:
    """The enrolled members in the order of the request, including those without a descriptor.

    List indices count the members that were not skipped.
    """

    reg_nos: list[RegNo]
    names: list[str | None]
    vectors: Matrix
    """(rows, dimension): descriptors; float32 if all came as base64, else float64. Empty if ``of_models`` has them."""
    owners: npt.NDArray[np.int64]
    """(rows,) the list index of each row's member, ascending."""
    other_model: Mask | None = None
    """(rows,) which of them another, comparable model made; None: none."""
    skipped: tuple[SkippedMember, ...] = ()
    of_models: tuple[ModelRows, ...] = ()
    """The descriptors by model, where a member names a model; matching/spaces.py makes lists of one model of them."""
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Results computed from the list, which live as long as it does: its Cohort by metric
    (matching/cohort_builder.py), the list of its templates (matching/templates.py), and those of one model."""
    shared_persons: list[npt.NDArray[np.intp]] = field(default_factory=list, compare=False, repr=False)
    """``persons``, once they are known: a list and those derived from it share it."""

    @property
    def persons(self) -> npt.NDArray[np.intp]:
        """(reg_nos,) the same number for the same regNo: a member may be listed several times."""
        if not self.shared_persons:
            numbers: dict[RegNo, int] = {}
            found = [numbers.setdefault(reg_no, len(numbers)) for reg_no in self.reg_nos]
            self.shared_persons.append(np.array(found, np.intp))
        return self.shared_persons[0]

    @cached_property
    def person_ids(self) -> npt.NDArray[np.intp]:
        """(rows,) the person of each row."""
        return self.persons[self.owners]

    def with_rows(self, vectors: Matrix, owners: npt.NDArray[np.int64], other_model: Mask | None = None) -> MemberList:
        """The same members with these descriptors instead."""
        return MemberList(
            self.reg_nos, self.names, vectors, owners, other_model, self.skipped, shared_persons=self.shared_persons
        )

    @property
    def descriptor_count(self) -> int:
        return len(self.vectors) + sum(len(rows.vectors) for rows in self.of_models)

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes, including ``person_ids`` and the lists that may be derived."""
        lists = self.reg_nos, self.names
        # Called for every new list: __sizeof__ takes a fifth of the time of sys.getsizeof.
        objects = sum([each.__sizeof__() for values in lists for each in values]) + sum(map(getsizeof, lists))
        of_models = self.of_models or (self,)
        several = len(set(self.reg_nos)) < len(self.reg_nos) or any(
            (np.diff(each.owners) == 0).any() for each in of_models
        )
        if self.of_models:
            return objects + sum(_bytes_of_models(self.of_models, len(self.reg_nos) if several else 0))
        templates = min(len(self.owners), len(self.reg_nos)) * self.vectors.shape[1] * 8 if several else 0
        return objects + self.vectors.nbytes + 2 * self.owners.nbytes + templates


def _bytes_of_models(of_models: tuple[ModelRows, ...], templates: int) -> Iterator[int]:
    """The bytes of the rows, and of all lists of one model or of pairs that may be derived, with their templates."""

    def derived(card: ModelCard, copied: int, rows: int) -> int:
        return copied * (card.dimension + 2) * 8 + min(rows, templates) * card.dimension * 8

    for one in of_models:
        yield one.vectors.nbytes + 2 * one.owners.nbytes + one.photos.nbytes
        comparable = [len(each.vectors) for each in of_models if one.card.comparable(each.card)]
        yield derived(one.card, sum(comparable) if len(comparable) > 1 else 0, sum(comparable))
        for other in of_models:
            if (pair := pair_card(one.card, other.card)) is not None:
                pairs = min(sum(comparable), len(other.vectors))
                yield derived(pair, pairs, pairs)


@dataclass(frozen=True)
class MatchRequest:
    probe: Probe
    card: ModelCard
    """The model of members that name none."""
    thresholds: Mapping[str, float]
    """By the names of models and pairs; another's is its card's, see ``Rule.max_distance``."""
    enrolled: MemberList | None
    """None: the body has no ``enrolled``, so the gallery is searched."""
    rule: Rule = THRESHOLD
    root_fields: tuple[str, ...] = ()
    """The fields of the body's root, in their order; empty if Python's parser read the body."""
    template: Template | None = None
    """None: the body names none. A list's is then ``nearest``, and the gallery's that of the settings."""
