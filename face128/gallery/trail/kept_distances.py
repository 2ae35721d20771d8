"""How many of the decisions that are kept another threshold, or another alpha, would have decided otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from face128.gallery.rows.stored_space import Models
from face128.gallery.storage.tables import decisions, in_collection

MAX_COUNTED = 10_000
"""The newest decisions of any kind: whatever is kept, the database counts these in some hundredths of a second."""

Columns = sa.ColumnCollection[str, sa.ColumnElement[Any]]


@dataclass(frozen=True)
class OtherDecisions:
    """Of the searches that are kept."""

    accepted: int
    refused: int
    """To be looked at again, or not found."""
    newly_refused: int
    newly_accepted: int

    @property
    def total(self) -> int:
        return self.accepted + self.refused


def by_threshold(connection: sa.Connection, models: Models, threshold: float) -> OtherDecisions:
    """By the threshold rule; only searches that these models decided."""
    return _counted(connection, models, lambda columns: columns.distance <= threshold)


def by_alpha(connection: sa.Connection, models: Models, alpha: float, cap: float) -> OtherDecisions:
    """By the cohort rule; only searches with a ``stranger_risk``.

    Of a search that was refused it may be lower than the true one: ``newly_accepted`` is then the most that there are.
    """

    def accepted(columns: Columns) -> sa.ColumnElement[bool]:
        return (columns.risk <= alpha) & (columns.distance <= cap)

    return _counted(connection, models, accepted, with_risk=True)


def _counted(
    connection: sa.Connection,
    models: Models,
    accepted: Callable[[Columns], sa.ColumnElement[bool]],
    *,
    with_risk: bool = False,
) -> OtherDecisions:
    own = in_collection(connection, decisions, whole=True)
    newest = sa.select(decisions).where(own).order_by(decisions.c.id.desc()).limit(MAX_COUNTED).subquery()
    was, would_be = (sa.case((condition, 1), else_=0) for condition in (newest.c.verdict == "yes", accepted(newest.c)))
    judged = sa.select(was.label("was"), would_be.label("would_be"))
    judged = judged.where(newest.c.kind == "search", newest.c.model.in_(models), newest.c.distance.is_not(None))
    if with_risk:
        judged = judged.where(newest.c.risk.is_not(None))
    of = judged.subquery()
    wanted = sa.select(of.c.was, of.c.would_be, sa.func.count()).group_by(of.c.was, of.c.would_be)
    counts = {(bool(was), bool(would_be)): count for was, would_be, count in connection.execute(wanted)}
    yes_yes, yes_no, no_yes, no_no = (counts.get(pair, 0) for pair in _PAIRS)
    return OtherDecisions(yes_yes + yes_no, no_yes + no_no, yes_no, no_yes)


_PAIRS = (True, True), (True, False), (False, True), (False, False)
