"""The decision of /match: the nearest member, if near enough.

By the threshold rule the member of the nearest descriptor is accepted if ``distance <= threshold``, as face_recognition
compares; of equal distances the first in the list is taken. By the cohort rule strangers must also rarely come as near
(conformal.py), and the threshold is the model's ``cohort_cap``. Distances are those of ``descriptors.distances``, to
the last bit. Where there are descriptors of several models, each space is searched (spaces.py), and one of what is
found decides (several_models.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import Rule
from face128.domain.descriptors import Vector, distances
from face128.domain.members import MatchRequest
from face128.errors import InvalidRequest, TooFewMembers, TooLarge
from face128.events import stage
from face128.matching.cohort_builder import MAX_COHORT_ROWS, CohortBuilder
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import CohortScore
from face128.matching.fast_distances import approximate_distances
from face128.matching.outcome import Candidate, Decision
from face128.matching.several_models import Found, choose, decision, models_of
from face128.matching.spaces import Space, list_spaces
from face128.matching.tails import require_enough_members, serving_tail

# Far above the relative error of an approximate distance, about 1e-14 in any order of summation.
DISTANCE_ROUNDING = 1e-9


@stage("search")
def decide(
    request: MatchRequest,
    builder: CohortBuilder | None = None,
    *,
    order: DecisionModels = "dlib",
    explain: bool = False,
) -> Decision:
    """Decide a request that contains its members.

    ``order`` says by which networks, where both sides have several. ``explain`` adds the runner-up and, by either rule,
    the cohort score. ``builder`` limits how many cohorts are built at once. Raises InvalidRequest if the request has no
    ``enrolled``; ModelMismatch if the probe has no model of any member; TooFewMembers and TooLarge by the cohort rule;
    Overloaded if too many requests wait for a cohort.
    """
    members, rule, thresholds = request.enrolled, request.rule, request.thresholds
    if members is None:
        raise InvalidRequest("There is no list of enrolled members.", field="enrolled")
    with_runner_up = explain or rule.reviews
    searches = {space.card.name: _Search(space) for space in list_spaces(request, members, order)}
    scored = _with_cohorts([*searches.values()], rule) if rule.name == "cohort" else []
    found = []
    for search in searches.values():
        score = search.cohort_score(rule, builder) if search in scored else None
        if (one := search.found(score, with_runner_up=with_runner_up)) is not None:
            found.append(one)
    best = choose(found, rule, thresholds)
    if best is None:
        card = next((search.space.card for search in searches.values()), request.probe.own)
        decided = Decision.of(None, None, card, rule, thresholds.get(card.name), None)
    else:
        decided = decision(best, found, rule, thresholds, with_runner_up=with_runner_up)
        if explain and rule.name == "threshold" and searches[best.card.name].rows <= MAX_COHORT_ROWS:
            decided = replace(decided, cohort_score=searches[best.card.name].cohort_score(rule, builder))
    named = request.probe.by_model or members.of_models
    return replace(decided, models=models_of(decided.model)) if named else decided


def has_cohort(request: MatchRequest) -> bool:
    """Whether the cohort of a request's members is built, which they name no models of."""
    members = request.enrolled
    if members is None or members.of_models or request.probe.by_model:
        return False
    compared = members.derived.get("mean") if request.template == "mean" else members
    return compared is not None and request.card.metric in compared.derived


def _with_cohorts(searches: Sequence[_Search], rule: Rule) -> list[_Search]:
    """Those with enough members for the cohort rule. Raises TooFewMembers if there are none, TooLarge for too many."""
    enough, too_few = [], []
    for search in searches:
        try:
            require_enough_members(search.people, rule)
            enough.append(search)
        except TooFewMembers as error:
            too_few.append(error)
        if search.rows > MAX_COHORT_ROWS:
            raise TooLarge(
                f"The cohort rule takes at most {MAX_COHORT_ROWS} descriptors in a request.", field="enrolled"
            )
    if too_few and not enough:
        raise max(too_few, key=lambda error: error.context["members"])
    if not searches:
        require_enough_members(0, rule)
    return enough


class _Search:
    """The search among the members of a list in one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.rows = len(space.members.vectors)
        self._approximate = approximate_distances(space.members.vectors, space.probe, space.card.metric)

    @property
    def people(self) -> int:
        return int(np.count_nonzero(np.bincount(self.space.members.person_ids)))

    def found(self, score: CohortScore | None, *, with_runner_up: bool) -> Found | None:
        """The nearest of those who are decided here, and the nearest other person if wanted."""
        decided = self.space.decided
        approximate = self._approximate if decided is None else np.where(decided, self._approximate, math.inf)
        if (nearest := self._nearest(approximate)) is None:
            return None
        runner_up = None
        if with_runner_up:
            persons = self.space.members.person_ids
            runner_up = self._nearest(np.where(persons == persons[nearest[0]], math.inf, approximate))
        return Found(self.space.card, nearest[1], runner_up and runner_up[1], score)

    def cohort_score(self, rule: Rule, builder: CohortBuilder | None) -> CohortScore | None:
        """The probe's; None if one who is decided in another space is the nearest of all."""
        space, approximate, metric = self.space, self._approximate, self.space.card.metric
        if space.decided is not None:
            nearest = self._nearest(approximate)
            if nearest is None or not space.decided[nearest[0]]:
                return None
        cohort = (builder or CohortBuilder()).cohort(space.members, metric, space.photos)
        tail = serving_tail(rule, cohort.member_count)
        rows = cohort.affected_rows(approximate * (1 - DISTANCE_ROUNDING), approximate * (1 + DISTANCE_ROUNDING), tail)
        exact = distances(space.members.vectors[rows], space.probe, metric)
        return cohort.score(rows, exact, float(descriptor_lengths(space.probe[None], metric)[0]), tail)

    def _nearest(self, approximate: Vector) -> tuple[int, Candidate] | None:
        """The row with the least exact distance, computed for those whose approximate distance allows it."""
        least = approximate.min(initial=math.inf)
        if math.isinf(least):
            return None
        members = self.space.members
        rows = np.flatnonzero(approximate <= least + DISTANCE_ROUNDING * max(1, least))
        exact = distances(members.vectors[rows], self.space.probe, self.space.card.metric)
        first = int(exact.argmin())
        row = int(rows[first])
        member = int(members.owners[row])
        other = members.other_model is not None and bool(members.other_model[row])
        return row, Candidate(members.reg_nos[member], members.names[member], float(exact[first]), other, member)
