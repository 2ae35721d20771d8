"""The members of a request to /match, and the request itself, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from sys import getsizeof
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import Block, Vector
from face128.domain.model_card import ModelCard

RegNo = int | float | str


@dataclass(frozen=True)
class Enrolled:
    """The members in the order of the list, those without a descriptor included."""

    reg_nos: list[RegNo]
    names: list[str | None]
    vectors: Block
    """(rows, dimension): every descriptor, float32 where all came as base64, else float64."""
    owners: npt.NDArray[np.int64]
    """(rows,) the index of each row's member, ascending."""
    foreign: frozenset[int] = frozenset()
    """The members whose descriptors were made by another model than the probe's, one comparable with it."""
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was computed from the list, by the name of its metric, and is kept as long as the list: see cohorts.py."""

    @cached_property
    def people(self) -> npt.NDArray[np.intp]:
        """(rows,) equal numbers where the regNo is equal: a member may stand several times."""
        numbers: dict[RegNo, int] = {}
        return np.array([numbers.setdefault(reg_no, len(numbers)) for reg_no in self.reg_nos], np.intp)[self.owners]

    @property
    def nbytes(self) -> int:
        """Of memory, about; ``people`` included."""
        lists = self.reg_nos, self.names, self.foreign
        # A fifth of the time that sys.getsizeof takes for each: it is asked of every new list.
        objects = sum([each.__sizeof__() for said in lists for each in said])
        return objects + sum(map(getsizeof, lists)) + self.vectors.nbytes + 2 * self.owners.nbytes


@dataclass(frozen=True)
class MatchRequest:
    """A request that was understood."""

    probe: Vector
    card: ModelCard
    """The model of the probe, and of the members that name none."""
    threshold: float | None
    """None where the card's own is meant."""
    enrolled: Enrolled | None
    """None where the body has no ``enrolled``: the gallery is meant."""
    rule: Rule = THRESHOLD
    names: tuple[str, ...] = ()
    """The fields of the body's root, in their order; none where Python's reader had to look."""
