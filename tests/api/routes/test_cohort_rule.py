"""The cohort rule over real HTTP: POST /match with ``decision``, and ?explain=true by either rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from cohort_truth import cohort_score_by_definition, estimate_by_definition
from serving import serving

from face128.domain.descriptors import to_base64


def crowd(seed: int) -> tuple[Any, Any, Any]:
    """150 members, another photo of each, and strangers; about as close together as people whom dlib confuses."""
    random = np.random.default_rng(seed)
    members = random.normal(0, 0.028, (150, 128))
    return members, members + random.normal(0, 0.018, members.shape), random.normal(0, 0.028, (60, 128))


CROWD, NEXT_PHOTOS, STRANGERS = crowd(128)
COHORT = {"rule": "cohort", "alpha": 0.02}
CONTRACT = {"distance", "threshold", "model", "runner_up", "margin"}


def ask(client: httpx.Client, probe: Any, members: Any = CROWD, explain: bool = False, **more: Any) -> Any:
    enrolled = [{"regNo": i, "name": f"name {i}", "descriptor": m.tolist()} for i, m in enumerate(members)]
    body = {"descriptor": probe.tolist(), "enrolled": enrolled, **more}
    return client.post("/match", json=body, params={"explain": explain}).json()


@pytest.fixture(scope="module")
def cohort_service() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake", FACE128_DECISION="cohort", FACE128_ALPHA="0.02") as client:
        yield client


def test_where_a_threshold_lets_everybody_in_the_cohort_rule_lets_in_the_members(fake_service: httpx.Client) -> None:
    by_threshold, strangers, members = [], [], []
    for seed in range(4):  # alpha is the mean over crowds: one of them may be above or below
        enrolled, photos, others = crowd(seed)
        by_threshold += [ask(fake_service, other, enrolled, threshold=0.5) for other in others[:7]]
        strangers += [ask(fake_service, other, enrolled, decision=COHORT) for other in others[:7]]
        members += [ask(fake_service, photos[i], enrolled, decision=COHORT)["regNo"] == i for i in range(3)]
    assert {"match": False} not in by_threshold
    assert sum(answer != {"match": False} for answer in strangers) <= 3  # 0.6 are expected
    assert all(members)


def test_explain_has_the_score_and_risk_that_plain_loops_compute_by_either_rule(fake_service: httpx.Client) -> None:
    for probe in (STRANGERS[0], NEXT_PHOTOS[3]):
        score, exact, own_scores = cohort_score_by_definition(CROWD, list(range(150)), probe)
        estimate = estimate_by_definition(score, own_scores)
        # At the default alpha of 1 %, and at 1 % of the cohort rule, 150 members are few; at 2 % they are not.
        for risk, tail, more in (
            (estimate, "estimate", {}),
            (estimate, "estimate", {"decision": {"rule": "threshold"}}),
            (exact, "exact", {"decision": {"rule": "threshold", "tail": "exact"}}),
            (exact, "exact", {"decision": COHORT}),
            (estimate, "estimate", {"decision": {**COHORT, "tail": "estimate"}}),
            (estimate, "estimate", {"decision": {"rule": "cohort", "alpha": 0.01}}),
        ):
            answer = ask(fake_service, probe, explain=True, **more)
            assert answer["score"] == pytest.approx(score, abs=1e-12)
            assert answer["stranger_risk"] == pytest.approx(risk, rel=1e-9, abs=1e-12)
            assert answer["decision"]["tail"] == tail
            assert answer["runner_up"]["regNo"] != answer.get("regNo")


def test_a_threshold_answer_is_the_same_to_the_bit_and_says_more_only_when_asked(fake_service: httpx.Client) -> None:
    plain = ask(fake_service, NEXT_PHOTOS[3])
    assert plain == {"regNo": 3, "name": "name 3"} == ask(fake_service, NEXT_PHOTOS[3], decision={"rule": "threshold"})
    explained = ask(fake_service, NEXT_PHOTOS[3], explain=True)
    assert set(explained) == {"regNo", "name", *CONTRACT, "score", "stranger_risk", "decision"}
    assert explained["decision"] == {"rule": "threshold", "tail": "estimate"}
    few = ask(fake_service, NEXT_PHOTOS[3], members=CROWD[:6], explain=True)
    assert set(few) == {"regNo", "name", *CONTRACT}
    assert (few["distance"], few["threshold"]) == (explained["distance"], 0.38)
    assert ask(fake_service, NEXT_PHOTOS[3], decision=COHORT) == plain


def test_an_answer_of_the_cohort_rule_explains_its_rule_and_its_cap(fake_service: httpx.Client) -> None:
    answer = ask(fake_service, NEXT_PHOTOS[3], explain=True, decision=COHORT)
    assert (answer["regNo"], answer["threshold"], answer["decision"]) == (3, 0.6, {**COHORT, "tail": "exact"})
    assert answer["stranger_risk"] <= 0.02


def test_nobody_beyond_the_cap_is_let_in_however_rare(fake_service: httpx.Client) -> None:
    far, probe = 4 * CROWD, 4 * NEXT_PHOTOS[3]
    refused = ask(fake_service, probe, members=far, explain=True, decision=COHORT)
    assert refused["match"] is False
    assert refused["distance"] > 0.6
    assert refused["stranger_risk"] <= 0.02
    assert ask(fake_service, probe, members=far, decision=COHORT, threshold=1)["regNo"] == 3


def test_with_too_few_members_the_error_says_how_many_it_needs(fake_service: httpx.Client) -> None:
    for tail, needed in (("exact", 99), ("estimate", 30), (None, 30)):
        decision = {"rule": "cohort", "alpha": 0.01, "tail": tail}
        answer = ask(fake_service, CROWD[0], members=CROWD[: needed - 1], decision=decision)
        assert str(needed) in answer.pop("error")
        assert answer == {"code": "too_few_members", "members": needed - 1, "members_needed": needed}
        assert "match" in ask(fake_service, STRANGERS[0], members=CROWD[:needed], decision=decision)


def test_members_without_a_descriptor_and_repeated_regnos_do_not_count(fake_service: httpx.Client) -> None:
    enrolled = [{"regNo": i, "name": "x", "descriptor": m.tolist()} for i, m in enumerate(CROWD[:29])]
    enrolled += [{"regNo": 900 + i, "name": "x", "descriptor": None} for i in range(50)]
    enrolled += [{"regNo": 5.0, "name": "x", "descriptor": m.tolist()} for m in CROWD[29:]]
    body = {"descriptor": CROWD[0].tolist(), "enrolled": enrolled, "decision": {"rule": "cohort", "alpha": 0.01}}
    assert fake_service.post("/match", json=body).json()["members"] == 29


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        ("cohort", "decision"),
        ({"rule": "margin"}, "decision.rule"),
        ({"rule": "cohort", "alpha": 2}, "decision.alpha"),
        ({"rule": "threshold", "tail": "gumbel"}, "decision.tail"),
        ({"rule": "cohort", "review_alpha": 0.005}, "decision.review_alpha"),
    ],
)
def test_an_invalid_decision_is_refused(fake_service: httpx.Client, decision: Any, field: str) -> None:
    answer = ask(fake_service, CROWD[0], decision=decision)
    assert (answer["code"], answer["field"]) == ("invalid_request", field)


def test_a_list_above_20_000_members_is_too_large_for_the_cohort_rule_only(fake_service: httpx.Client) -> None:
    member = '{"regNo": 1, "descriptor": "%s"}' % ("A" * 683 + "=")
    for rule, status in (("cohort", 413), ("threshold", 200)):
        body = f'{{"descriptor": "{"A" * 683}=", "decision": {{"rule": "{rule}"}}, "enrolled": [' + ",".join(
            member.replace("1", str(i), 1) for i in range(20_001)
        )
        answer = fake_service.post("/match?explain=true", content=body + "]}")
        assert answer.status_code == status
        assert answer.json().get("code") == ("too_large" if rule == "cohort" else None)
        assert "stranger_risk" not in answer.json()


def test_too_many_new_lists_at_once_are_overload_and_others_are_answered(fake_service: httpx.Client) -> None:
    def body(seed: int, **more: Any) -> str:
        vectors = np.random.default_rng(seed).normal(0, 0.1, (6000, 128)).astype(np.float32)
        enrolled = [{"regNo": i, "descriptor": to_base64(vector)} for i, vector in enumerate(vectors)]
        return json.dumps({"descriptor": to_base64(vectors[7]), "enrolled": enrolled, **more})

    def send(text: str) -> httpx.Response:
        return fake_service.post("/match", content=text)

    bodies = [body(seed, decision=COHORT) for seed in range(14)] + [body(99)]
    with ThreadPoolExecutor(len(bodies)) as clients:
        *answers, by_threshold = clients.map(send, bodies)
    assert by_threshold.json()["regNo"] == 7
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert (refused.json()["code"], "retry-after" in refused.headers) == ("overloaded", True)
    assert send(bodies[0]).json()["regNo"] == 7


def test_the_settings_choose_the_rule_where_a_request_names_none(cohort_service: httpx.Client) -> None:
    answer = ask(cohort_service, NEXT_PHOTOS[3], explain=True)
    assert answer["decision"] == {**COHORT, "tail": "exact"}
    by_threshold = ask(cohort_service, NEXT_PHOTOS[3], explain=True, decision={"rule": "threshold"})
    assert by_threshold["decision"] == {"rule": "threshold", "tail": "exact"}
    assert ask(cohort_service, NEXT_PHOTOS[3], members=CROWD[:20])["code"] == "too_few_members"
