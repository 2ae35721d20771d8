"""The choice among what was found in several spaces, for posted lists and for the gallery.

A space is a model, or the pairs of two (domain/decision_models.py); each person is decided in one of them. Distances of
two spaces cannot be compared, but each space has its threshold: the nearest person is the one with the least distance /
threshold. By the cohort rule it is the one with the least ``stranger_risk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from face128.domain.decision_rule import Rule
from face128.domain.model_card import ModelCard
from face128.domain.thresholds import Thresholds
from face128.matching.conformal import CohortScore
from face128.matching.outcome import Candidate, Decision


@dataclass(frozen=True)
class Found:
    """Who is nearest among the people that are decided in one space."""

    card: ModelCard
    """The probe's in this space."""
    nearest: Candidate
    runner_up: Candidate | None = None
    """The nearest other person who is decided here. None if not wanted, or if there is none."""
    cohort_score: CohortScore | None = None
    """That of the probe among all members of this space. None if not wanted, if they are too few, or if one who is
    decided in another space is nearer than ``nearest``."""


def choose(found: Sequence[Found], rule: Rule, thresholds: Thresholds) -> Found | None:
    """The space whose nearest person decides; None if nobody was found.

    By the cohort rule, one without a score is only chosen if none has any: it is not accepted.
    """

    def by_risk(one: Found) -> tuple[float, float, int]:
        return one.cohort_score.stranger_risk if one.cohort_score else 1.0, *_order(one, one.nearest, rule, thresholds)

    if len(found) == 1:
        return found[0]
    scored = [one for one in found if one.cohort_score is not None]
    if rule.name == "cohort" and scored:
        return min(scored, key=by_risk)
    return min(found, key=lambda one: _order(one, one.nearest, rule, thresholds), default=None)


def decision(
    best: Found, found: Sequence[Found], rule: Rule, thresholds: Thresholds, *, with_runner_up: bool
) -> Decision:
    """The decision for ``best``, which was chosen of those ``found``. The runner-up is the nearest of all others."""
    others = [(one, one.nearest) for one in found if one is not best]
    if best.runner_up is not None:
        others.append((best, best.runner_up))
    space, runner_up = best, None
    if with_runner_up and others:
        space, runner_up = min(others, key=lambda other: _order(other[0], other[1], rule, thresholds))
    requested = thresholds.get(best.card.name)
    made = Decision.of(best.nearest, runner_up, best.card, rule, requested, best.cohort_score)
    if space is not best:
        threshold = rule.max_distance(space.card, thresholds.get(space.card.name))
        made = replace(made, runner_up_space=(space.card.name, threshold))
    return made


def models_of(name: str) -> tuple[str, ...]:
    """The names of the models that decide in the space with this name."""
    return tuple(name.split("+"))


def _order(space: Found, one: Candidate, rule: Rule, thresholds: Thresholds) -> tuple[float, int]:
    """What is compared of two candidates: distance / threshold of their space, then where they stand."""
    return one.distance / rule.max_distance(space.card, thresholds.get(space.card.name)), one.place
