"""A trial of a face: the decision on it, who is near, how near strangers come, and what other settings would decide.

Each decision is that of ``Gallery.recognise`` or ``Gallery.match``. A trial counts for nothing: it is not kept as a
decision, and says of nobody that they were there. The trail, where it is on, has who was shown to the caller.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import Rule
from face128.domain.model_card import ModelCard
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.errors import DatabaseUnavailable, Face128Error, NotReady, TooLarge
from face128.gallery.cohort.cohort_follower import BUILD_TIMEOUT_S
from face128.gallery.rows.statements import count_faces
from face128.matching.crowd import Crowd
from face128.matching.outcome import Candidate, Decision

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.rows.records import SearchHit

Decide = Callable[[], Decision]
T = TypeVar("T")

SHOWN_PEOPLE = 5
LARGE_GALLERY_FACES = 20_000
"""In a gallery with more, other templates and networks are left out: each needs an index or a cohort of its own."""
TIME_LIMIT_S = 5.0
"""After so long no further setting is asked: while members are being compared, each may wait."""

_LATE = "The members are being compared with each other. Try again soon."

Setting = Literal["rule", "models", "template", "engine"]
Outcome = Decision | Face128Error
"""The error says why there is no decision: too few members, or too many, or they are still being compared; for another
engine, also what it makes of the photo."""


@dataclass(frozen=True)
class NearPerson:
    user_id: str
    name: str | None
    distance: float
    threshold: float
    """The greatest distance that the rule accepts where this person is compared."""
    model: str


@dataclass(frozen=True)
class Alternative:
    setting: Setting
    """What is different: all else is as the service decides."""
    value: str
    outcome: Outcome


@dataclass(frozen=True)
class Trial:
    outcome: Outcome
    rule: Rule
    people: tuple[NearPerson, ...]
    """The nearest first; distances of several models follow each other as multiples of their thresholds."""
    crowd: Crowd | None
    """Where the decision was made. None: too few members, or they have not been compared with each other."""
    alternatives: tuple[Alternative, ...]
    faces: int
    """In the gallery."""

    @property
    def threshold(self) -> float | None:
        """That of the decision, or of the nearest person where there is none; None where nobody is compared."""
        if isinstance(self.outcome, Decision):
            return self.outcome.threshold
        return self.people[0].threshold if self.people else None

    @property
    def is_large(self) -> bool:
        """Whether other templates and networks were left out."""
        return self.faces > LARGE_GALLERY_FACES


@dataclass(frozen=True)
class Asked:
    """A face, and how the service decides."""

    probe: Probe
    """As /match_face makes it by these settings."""
    by_all: Probe
    """With the descriptors of all networks that look at the same face."""
    by_engines: Mapping[str, Probe | Face128Error]
    """By the other engines, which find faces in their own way; or what they found wrong with the photo."""
    rule: Rule
    template: Template
    models: DecisionModels


def try_face(gallery: Gallery, asked: Asked) -> Trial:
    """See above. Blocking. Raises DatabaseUnavailable."""
    with gallery.database.reading() as connection:
        faces = count_faces(connection)
    compared = _are_compared(gallery, asked.rule, faces)
    explain = compared or asked.rule.name == "cohort" or asked.rule.reviews
    outcome = _or_error(partial(gallery.match, asked.probe, rule=asked.rule, explain=explain))
    near = gallery.people(asked.probe, SHOWN_PEOPLE, asked.rule)
    alternatives, deadline = [], time.monotonic() + TIME_LIMIT_S
    for setting, value, decide in _other_settings(gallery, asked, faces) if faces else ():
        late = time.monotonic() > deadline or (value == "cohort" and not compared)
        alternatives.append(Alternative(setting, value, NotReady(_LATE) if late else _or_error(decide)))
    _note(gallery, outcome, alternatives, near)
    people = tuple(_near_person(hit, card, asked.rule) for hit, card in near)
    trial = Trial(outcome, asked.rule, people, None, tuple(alternatives), faces)
    card = _deciding_card(outcome, asked, near)
    members = gallery.cohort(card) if card else None
    if members is not None and trial.threshold is not None:
        trial = replace(trial, crowd=Crowd.of(members, trial.threshold, asked.rule.alpha))
    return trial


def _are_compared(gallery: Gallery, rule: Rule, faces: int) -> bool:
    """Whether the members are compared with each other: few are while this waits, many in the background."""
    try:
        return gallery.build_cohorts(BUILD_TIMEOUT_S if faces <= LARGE_GALLERY_FACES else 0.0, rule.tail)
    except TooLarge:
        return False


def _or_error(decide: Callable[[], T]) -> T | Face128Error:
    try:
        return decide()
    except DatabaseUnavailable:
        raise
    except Face128Error as error:
        return error


def _near_person(hit: SearchHit, card: ModelCard, rule: Rule) -> NearPerson:
    person = hit.record.person
    return NearPerson(person.user_id, person.name, hit.distance, rule.max_distance(card, None), card.name)


def _deciding_card(outcome: Outcome, asked: Asked, near: list[tuple[SearchHit, ModelCard]]) -> ModelCard | None:
    """The probe's model where the decision was made, or where the nearest person is compared."""
    if not near or isinstance(outcome, Face128Error):
        return near[0][1] if near else None
    spaces = {card.name: card for card, _ in asked.probe.spaces(asked.models)}
    return spaces.get(outcome.model)


def _other_settings(gallery: Gallery, asked: Asked, faces: int) -> Iterator[tuple[Setting, str, Decide]]:
    """One difference each, and what decides so."""

    def match(probe: Probe | Face128Error, rule: Rule = asked.rule, template: Template | None = None) -> Decision:
        if isinstance(probe, Face128Error):
            raise probe
        explain = rule.name == "cohort" or rule.reviews  # without it, stranger_risk and the verdict are not complete
        return gallery.match(probe, rule=rule, template=template, explain=explain)

    other_rule: Literal["threshold", "cohort"] = "cohort" if asked.rule.name == "threshold" else "threshold"
    yield "rule", other_rule, partial(match, asked.probe, replace(asked.rule, name=other_rule))
    if faces > LARGE_GALLERY_FACES:
        return
    other_template: Template = "nearest" if asked.template == "mean" else "mean"
    yield "template", other_template, partial(match, asked.probe, template=other_template)
    if len(asked.by_all.descriptors) > 1:
        for models in get_args(DecisionModels):
            if models != asked.models:
                yield "models", models, partial(match, replace(asked.by_all, order=models))
    for engine, probe in asked.by_engines.items():
        yield "engine", engine, partial(match, probe)


def _note(
    gallery: Gallery, outcome: Outcome, alternatives: list[Alternative], near: list[tuple[SearchHit, ModelCard]]
) -> None:
    """On the trail: the search with its verdict, and that the others were shown."""
    named = [each.outcome.nearest for each in alternatives if isinstance(each.outcome, Decision)]
    found, result = None, outcome.code if isinstance(outcome, Face128Error) else outcome.verdict
    if isinstance(outcome, Decision):
        named += [outcome.nearest, outcome.runner_up]
        found = _user_id(outcome.nearest) if outcome.nearest and outcome.verdict != "no" else None
    shown = dict.fromkeys([hit.record.person.user_id for hit, _ in near] + [_user_id(one) for one in named if one])
    gallery.accounts.note("match", person=found, result=result, details={"trial": True})
    for user_id in shown:
        if user_id != found:
            gallery.accounts.note("read", person=user_id, details={"trial": True})


def _user_id(one: Candidate) -> str:
    return one.reg_no if isinstance(one.reg_no, str) else json.dumps(one.reg_no)
