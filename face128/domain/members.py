"""A valid request to /match and its members, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from sys import getsizeof
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import Matrix, Vector
from face128.domain.model_card import ModelCard
from face128.domain.template import Template

RegNo = int | float | str


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
class MemberList:
    """The enrolled members in the order of the request, including those without a descriptor.

    List indices count the members that were not skipped.
    """

    reg_nos: list[RegNo]
    names: list[str | None]
    vectors: Matrix
    """(rows, dimension): all descriptors; float32 if all came as base64, else float64."""
    owners: npt.NDArray[np.int64]
    """(rows,) the list index of each row's member, ascending."""
    other_model: frozenset[int] = frozenset()
    """List indices of the members whose descriptors another, comparable model made."""
    skipped: tuple[SkippedMember, ...] = ()
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Results computed from the list, which live as long as it does: its Cohort by metric (matching/decision.py), and
    the list of its templates (matching/templates.py)."""

    @cached_property
    def person_ids(self) -> npt.NDArray[np.intp]:
        """(rows,) the same number for the same regNo: a member may be listed several times."""
        numbers: dict[RegNo, int] = {}
        return np.array([numbers.setdefault(reg_no, len(numbers)) for reg_no in self.reg_nos], np.intp)[self.owners]

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes, including ``person_ids`` and the templates that may be derived."""
        lists = self.reg_nos, self.names, self.other_model
        # Called for every new list: __sizeof__ takes a fifth of the time of sys.getsizeof.
        objects = sum([each.__sizeof__() for values in lists for each in values])
        several = len(set(self.reg_nos)) < len(self.reg_nos) or bool((np.diff(self.owners) == 0).any())
        templates = min(len(self.owners), len(self.reg_nos)) * self.vectors.shape[1] * 8 if several else 0
        return objects + sum(map(getsizeof, lists)) + self.vectors.nbytes + 2 * self.owners.nbytes + templates


@dataclass(frozen=True)
class MatchRequest:
    probe: Vector
    card: ModelCard
    """The model of the probe, and of members that name no model."""
    threshold: float | None
    """None: the model card's, see ``Rule.max_distance``."""
    enrolled: MemberList | None
    """None: the body has no ``enrolled``, so the gallery is searched."""
    rule: Rule = THRESHOLD
    root_fields: tuple[str, ...] = ()
    """The fields of the body's root, in their order; empty if Python's parser read the body."""
    template: Template | None = None
    """None: the body names none. A list's is then ``nearest``, and the gallery's that of the settings."""
