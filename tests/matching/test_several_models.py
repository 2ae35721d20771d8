"""Decisions among descriptors of several models, against a loop over plain numbers: mixed states, to the last bit."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from model_mixtures import Mixtures
from several_models import DLIB, FACEAPI, PAIR, RETAIL, answer

from face128.errors import Face128Error
from face128.match_body.parser import parse
from face128.matching.decision import decide

ORDERS: Any = ("dlib", "retail", "dlib+retail")


def answered(body: dict[str, Any], order: Any = "dlib") -> dict[str, Any]:
    """The explained answer; {"code": ...} where there is an error."""
    try:
        found = decide(parse(json.dumps(body).encode()), order=order, explain=True).answer(explain=True)
    except Face128Error as error:
        return {"code": error.code}
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """To the last bit, except for the risk. The reference leaves out the score, and the risk by the threshold rule."""
    risk = expected.get("stranger_risk")
    if risk is not None and found.get("stranger_risk") != pytest.approx(risk, rel=1e-6):
        return False
    left_out = {"score", "stranger_risk", "decision"}
    return {name: found[name] for name in found if name not in left_out} == {
        name: expected[name] for name in expected if name not in left_out
    }


@pytest.mark.parametrize("order", ORDERS)
def test_mixed_states_are_decided_as_by_a_loop_over_plain_numbers(order: Any) -> None:
    mixtures = Mixtures(23)
    seen = Counter[str]()
    for _ in range(120):
        body = mixtures.body()
        expected = answer(body, order)
        assert same(answered(body, order), expected)
        seen[f"{expected.get('code') or expected.get('model')} {'regNo' in expected}"] += 1
        seen["another space's runner-up"] += "model" in (expected.get("runner_up") or {})
        seen["mixed models"] += "mixed_models" in expected
    names = [DLIB, FACEAPI, RETAIL, *([PAIR] if order == "dlib+retail" else [])]
    expected_kinds = [f"{name} {matched}" for name in names for matched in (True, False)]
    assert not {*expected_kinds, "model_mismatch False", "another space's runner-up", "mixed models"} - set(+seen)


@pytest.mark.parametrize("order", ORDERS)
def test_the_cohort_rule_decides_by_the_least_risk_of_the_spaces_candidates(order: Any) -> None:
    mixtures = Mixtures(5)
    seen = Counter[str]()
    for turn in range(12):
        body = mixtures.body(50, entries=(20, 50, 80)[turn % 3])
        body["decision"] = {"rule": "cohort", "alpha": (0.1, 0.05)[turn % 2]}
        expected = answer(body, order)
        assert same(answered(body, order), expected)
        seen[expected.get("code") or f"{expected['model']} {'regNo' in expected}"] += 1
    print(seen)
