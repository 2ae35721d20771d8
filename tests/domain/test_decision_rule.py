from __future__ import annotations

from typing import Any

import pytest

from face128.domain.decision_rule import THRESHOLD, Rule, parse
from face128.domain.model_card import DLIB
from face128.errors import InvalidRequest


def test_a_rule_is_named_and_takes_an_alpha_if_it_is_the_cohorts() -> None:
    assert parse({"rule": "cohort", "alpha": 0.001}, THRESHOLD) == Rule("cohort", 0.001)
    assert parse({"rule": "threshold"}, Rule("cohort", 0.02)).name == "threshold"
    assert parse({"rule": "cohort"}, Rule("threshold", 0.02)) == Rule("cohort", 0.02)
    assert parse({"rule": "cohort", "alpha": None, "note": 1}, THRESHOLD) == Rule("cohort", 0.01)


def test_either_rule_takes_a_tail_and_a_review_alpha_and_the_settings_have_those_that_are_not_named() -> None:
    both = {"tail": "estimate", "review_alpha": 0.2}
    assert parse({"rule": "threshold", **both}, THRESHOLD) == Rule("threshold", 0.01, "estimate", 0.2)
    assert parse({"rule": "cohort", "alpha": 0.1, **both}, THRESHOLD) == Rule("cohort", 0.1, "estimate", 0.2)
    default = Rule("threshold", 0.02, "exact", 0.05)
    assert parse({"rule": "cohort", "tail": None, "review_alpha": None}, default) == Rule("cohort", 0.02, "exact", 0.05)
    # A greater alpha closes the band of the settings.
    assert parse({"rule": "cohort", "alpha": 0.1}, default).greatest_risk == 0.1


def test_a_look_beyond_the_threshold_goes_as_far_as_the_cohort_rule() -> None:
    assert Rule().review_distance(DLIB, None) == DLIB.cohort_cap > Rule().max_distance(DLIB, None)
    assert Rule().review_distance(DLIB, 0.7) == 0.7
    assert Rule("cohort").review_distance(DLIB, 0.5) == Rule("cohort").max_distance(DLIB, 0.5) == 0.5


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("cohort", "decision"),
        (["cohort"], "decision"),
        (True, "decision"),
        ({}, "decision.rule"),
        ({"alpha": 0.01}, "decision.rule"),
        ({"rule": "Cohort"}, "decision.rule"),
        ({"rule": ["cohort"]}, "decision.rule"),
        ({"rule": None}, "decision.rule"),
        ({"rule": "threshold", "alpha": 0.01}, "decision.alpha"),
        *(({"rule": "cohort", "alpha": alpha}, "decision.alpha") for alpha in (0, 1, -0.1, 1.5, True, "0.01", [0.01])),
        ({"rule": "cohort", "alpha": float("nan")}, "decision.alpha"),
        *(({"rule": "cohort", "tail": tail}, "decision.tail") for tail in ("auto", "Exact", 1, ["exact"], {})),
        *(({"rule": "threshold", "review_alpha": a}, "decision.review_alpha") for a in (0, 1, True, "0.1", [0.1])),
        *(({"rule": "cohort", "alpha": 0.1, "review_alpha": a}, "decision.review_alpha") for a in (0.1, 0.05)),
    ],
)
def test_anything_else_is_refused_and_the_field_named(value: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(value, THRESHOLD)
    assert refused.value.context == {"field": field}
