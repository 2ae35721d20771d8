"""Among few members with templates the estimate's law is that of single photos: as the definition computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort_truth import cohort_score_by_definition, estimate_by_definition, score_by_definition
from people import synthetic

from face128.domain.decision_rule import Rule, Tail
from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.matching.conformal import CohortScore
from face128.matching.decision import decide

FIRST = 4


def people(members: int) -> list[Any]:
    """Of each member one to six photos, so near to each other that the mean is of all."""
    random = np.random.default_rng(members)
    counts = random.integers(1, 7, members)
    return [each + random.normal(0, 0.02, (count, 128)) for each, count in zip(synthetic(members), counts, strict=True)]


def scored(photos: list[Any], probe: Any, tail: Tail, template: Template = "mean") -> CohortScore:
    owners = np.arange(len(photos)).repeat([len(own) for own in photos])
    members = MemberList([*range(len(photos))], [None] * len(photos), np.concatenate(photos), owners)
    asked = MatchRequest(Probe.of(DLIB, probe), DLIB, {}, members, Rule("cohort", 0.1, tail), template=template)
    found = decide(asked).cohort_score
    assert found is not None
    return found


def apart(vectors: Any, probe: Any) -> list[float]:
    return [float(each) for each in np.sqrt(((vectors - probe) ** 2).sum(axis=1))]


@pytest.mark.parametrize(("members", "photos_ask"), [(40, True), (199, True), (200, False)])
def test_single_photos_ask_among_few_members_and_templates_among_many(members: int, photos_ask: bool) -> None:
    photos = people(members)
    means = np.array([own.mean(axis=0) for own in photos])
    asking = [own[:FIRST] if photos_ask else means[member, None] for member, own in enumerate(photos)]
    law = [
        (score_by_definition(apart(np.delete(means, member, 0), photo), photo, members), 1 / len(own))
        for member, own in enumerate(asking)
        for photo in own
    ]
    for probe in (photos[3][0] + 0.01, *synthetic(4, seed=1).astype(np.float64)):
        found = scored(photos, probe, "estimate")
        score = score_by_definition(apart(means, probe), probe, members)
        assert found.score == pytest.approx(score)
        assert found.stranger_risk == pytest.approx(estimate_by_definition(score, law))


def test_by_the_exact_tail_the_templates_are_the_cohort() -> None:
    photos = people(20)
    means, probe = np.array([own.mean(axis=0) for own in photos]), synthetic(1, seed=2)[0].astype(np.float64)
    score, risk, _ = cohort_score_by_definition(means, [*range(20)], probe)
    found = scored(photos, probe, "exact")
    assert (found.score, found.stranger_risk) == (pytest.approx(score), pytest.approx(risk))


def test_of_one_photo_each_the_estimate_is_that_of_nearest() -> None:
    photos = [own[:1] for own in people(40)]
    for probe in synthetic(5, seed=3).astype(np.float64):
        assert scored(photos, probe, "estimate") == scored(photos, probe, "estimate", "nearest")
