from __future__ import annotations

from typing import Any

import pytest

from face128.domain.decision_rule import THRESHOLD, Rule, parse
from face128.errors import InvalidRequest


def test_a_rule_is_named_and_takes_an_alpha_if_it_is_the_cohorts() -> None:
    assert parse({"rule": "cohort", "alpha": 0.001}, THRESHOLD) == Rule("cohort", 0.001)
    assert parse({"rule": "threshold"}, Rule("cohort", 0.02)).name == "threshold"
    assert parse({"rule": "cohort"}, Rule("threshold", 0.02)) == Rule("cohort", 0.02)
    assert parse({"rule": "cohort", "alpha": None, "note": 1}, THRESHOLD) == Rule("cohort", 0.01)


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
    ],
)
def test_anything_else_is_refused_and_the_field_named(value: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(value, THRESHOLD)
    assert refused.value.context == {"field": field}
