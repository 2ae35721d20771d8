"""yes, look_again and no over real HTTP: POST /match with a list, and /match_face, both with ?explain=true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from fake_photos import create_record, fake_photo
from serving import serving

RANDOM = np.random.default_rng(5)
CROWD = RANDOM.normal(0, 0.028, (60, 128))
NOISE = RANDOM.normal(0, 0.02, 128)
CLEAR = CROWD[3] + 0.9 * NOISE
HAZY = CROWD[3] + 1.6 * NOISE
STRANGER = RANDOM.normal(0, 0.028, 128)
BETWEEN = (CROWD[3] + 1.05 * CROWD[4]) / 2.05


def ask(client: httpx.Client, probe: Any, decision: Any, members: Any = CROWD, **more: Any) -> tuple[Any, Any]:
    """The answers without and with explain."""
    enrolled = [{"regNo": i, "name": f"name {i}", "descriptor": m.tolist()} for i, m in enumerate(members)]
    body = {"descriptor": probe.tolist(), "enrolled": enrolled, "decision": decision, **more}
    plain, explained = (client.post("/match", json=body, params={"explain": flag}) for flag in (False, True))
    assert plain.status_code == explained.status_code == 200, explained.text
    return plain.json(), explained.json()


MATCH, NONE = {"regNo": 3, "name": "name 3"}, {"match": False}
BY_THRESHOLD = {"rule": "threshold", "review_alpha": 0.05}
BY_COHORT = {"rule": "cohort", "alpha": 1e-9, "review_alpha": 0.05}


@pytest.mark.parametrize(
    ("decision", "more", "probe", "verdict"),
    [
        (BY_THRESHOLD, {}, CLEAR, "yes"),
        (BY_THRESHOLD, {"threshold": 0.15}, CLEAR, "look_again"),
        (BY_THRESHOLD, {}, STRANGER, "no"),
        (BY_THRESHOLD, {}, BETWEEN, "look_again"),
        (BY_COHORT, {}, CLEAR, "yes"),
        (BY_COHORT, {}, HAZY, "look_again"),
        (BY_COHORT, {}, STRANGER, "no"),
        (BY_COHORT, {"threshold": 0.1}, HAZY, "no"),
        ({**BY_COHORT, "alpha": 0.2, "review_alpha": 0.4}, {}, BETWEEN, "look_again"),
    ],
)
def test_a_match_is_what_is_certain_and_a_look_again_is_none(
    fake_service: httpx.Client, decision: Any, more: Any, probe: Any, verdict: str
) -> None:
    plain, explained = ask(fake_service, probe, decision, **more)
    assert explained["verdict"] == verdict
    assert explained["decision"].items() >= decision.items()
    assert plain == (MATCH if verdict == "yes" else NONE)
    assert explained.items() >= plain.items()


def test_without_a_review_alpha_there_is_no_verdict_and_whoever_is_near_enough_matches(
    fake_service: httpx.Client,
) -> None:
    for rule in ({"rule": "threshold"}, {"rule": "cohort", "alpha": 0.2}):
        plain, explained = ask(fake_service, BETWEEN, rule)
        assert plain["regNo"] == 4
        assert "verdict" not in explained


def test_with_too_few_members_for_a_risk_the_threshold_rule_still_sees_a_tie(fake_service: httpx.Client) -> None:
    few = CROWD[:5]
    for probe, verdict in ((CLEAR, "yes"), (BETWEEN, "look_again"), (STRANGER, "no")):
        _, explained = ask(fake_service, probe, BY_THRESHOLD, few)
        assert (explained["verdict"], "stranger_risk" in explained) == (verdict, False)
    _, explained = ask(fake_service, CROWD[0], BY_THRESHOLD, [CROWD[0], CROWD[0]])
    assert explained["verdict"] == "look_again"
    _, explained = ask(fake_service, CROWD[0], BY_THRESHOLD, [CROWD[0]])
    assert explained["verdict"] == "yes"
    _, explained = ask(fake_service, CROWD[0], BY_THRESHOLD, [])
    assert explained["verdict"] == "no"


@pytest.fixture(scope="module")
def door() -> Iterator[httpx.Client]:
    settings = {"FACE128_DECISION": "cohort", "FACE128_ALPHA": "0.05", "FACE128_REVIEW_ALPHA": "0.999999"}
    with serving(FACE128_ENGINES="fake", **settings) as client:
        yield client


def test_the_door_explains_and_says_look_again_too(door: httpx.Client) -> None:
    ids = {seed: create_record(door, fake_photo(seed), f"P {seed}").json()["record"]["id"] for seed in range(1, 45)}

    def both(photo: bytes) -> tuple[Any, Any]:
        plain, explained = (
            door.post("/match_face", files={"image": photo}, params={"explain": flag}).json() for flag in (False, True)
        )
        return plain, explained

    evidence = {"distance", "threshold", "model", "margin", "score", "stranger_risk", "decision", "verdict"}
    granted = {"status": "access_granted", "user_id": ids[7], "name": "P 7"}
    plain, explained = both(fake_photo(7))
    assert plain == granted
    assert {name: explained.pop(name) for name in granted} == granted
    assert explained.keys() == evidence
    assert (explained["verdict"], explained["distance"]) == ("yes", 0)
    assert explained["decision"] == {"rule": "cohort", "alpha": 0.05, "tail": "exact", "review_alpha": 0.999999}
    assert 0 <= explained["stranger_risk"] <= 0.05
    plain, explained = both(fake_photo(1000))
    assert plain == {"status": "access_denied"}
    assert explained.keys() == {"status", *evidence}
    assert explained["verdict"] in ("look_again", "no")
    found = door.post("/records/match", files={"image": fake_photo(7)}).json()
    assert (found["recognized"], found["best_match"]["id"]) == (True, ids[7])
    # Another person with the same photo: who of the two it is, nobody can say.
    create_record(door, fake_photo(7), "Twin of P 7", "?force=true")
    plain, explained = both(fake_photo(7))
    assert plain == {"status": "access_denied"}
    assert (explained["verdict"], explained["distance"], explained["margin"]) == ("look_again", 0, 0)
    assert door.post("/records/match", files={"image": fake_photo(7)}).json()["recognized"] is False
