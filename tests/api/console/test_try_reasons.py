"""Why a face was recognised or not: a sentence for each reason, in both languages, with numbers that do not mislead."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from face128.api.console.screens.try_photo.reasons import alpha_text, distance_text, limit_text, share_text, why
from face128.api.console.screens.try_photo.scale import RADIUS, WIDTH, scale_of
from face128.api.console.sentences import LANGUAGES, Sentences
from face128.domain.decision_rule import Rule
from face128.errors import NoFace, NotReady, TooFewMembers, TooLarge
from face128.gallery.trial import NearPerson, Trial
from face128.matching.conformal import CohortScore
from face128.matching.crowd import BIN_WIDTH, Crowd
from face128.matching.outcome import Candidate, Decision
from face128.matching.stranger_estimates import Estimate

ENGLISH, GERMAN = Sentences("en"), Sentences("de")
THRESHOLD, REVIEWED = Rule(), Rule(review_alpha=0.05)
COHORT, COHORT_REVIEWED = Rule("cohort", 0.01), Rule("cohort", 0.01, "auto", 0.05)


def decided(rule: Rule, distance: float, risk: float | None = None, other: float | None = 0.9) -> Decision:
    runner_up = None if other is None else Candidate("2", "Ana", other)
    score = None if risk is None else CohortScore(0.5, risk, "estimate")
    limits = (0.38, 0.6) if rule.name == "threshold" else (0.6, 0.6)
    return Decision(Candidate("1", "Ben", distance), runner_up, limits[0], "m", rule, score, limits[1])


def trial(outcome: Any, faces: int = 9, people: tuple[NearPerson, ...] = (), crowd: Crowd | None = None) -> Trial:
    return Trial(outcome, THRESHOLD, people, crowd, (), faces)


def said(outcome: Any, sentences: Sentences = ENGLISH, faces: int = 9) -> str:
    return why(trial(outcome, faces), sentences).replace("\u2068", "").replace("\u2069", "")


CASES = [
    (
        decided(THRESHOLD, 0.21, other=0.51),
        "yes",
        "Recognised as Ben: distance 0.21 is within the threshold 0.38. The next nearest, Ana, is 0.30 further away.",
    ),
    (
        decided(THRESHOLD, 0.21, other=None),
        "yes",
        "Recognised as Ben: distance 0.21 is within the threshold 0.38. Nobody else is enrolled.",
    ),
    (decided(THRESHOLD, 0.44), "no", "Not recognised: the nearest, Ben, is at 0.44, above 0.38."),
    (decided(THRESHOLD, 0.3801), "no", "Not recognised: the nearest, Ben, is at 0.3801, above 0.38."),
    (
        decided(REVIEWED, 0.3, other=0.32),
        "look_again",
        "Look again: Ben at 0.30 is within the threshold 0.38, but Ana is nearly as near, only 0.02 further away.",
    ),
    (
        decided(REVIEWED, 0.41, 0.0003),
        "look_again",
        "Look again: the nearest, Ben, is at 0.41, above 0.38; but less than 0.1 % of strangers would come as near, "
        "and up to 5 % are worth another look.",
    ),
    (decided(REVIEWED, 0.41, 0.2), "no", "Not recognised: the nearest, Ben, is at 0.41, above 0.38."),
    (
        decided(COHORT, 0.44, 0.004),
        "yes",
        "Recognised as Ben: 0.4 % of strangers would come as near as this, at 0.44, and up to 1 % are accepted. "
        "The next nearest, Ana, is 0.46 further away.",
    ),
    (
        decided(COHORT, 0.44, 0.03),
        "no",
        "Not recognised: the nearest, Ben, is at 0.44, but 3.0 % of strangers would come as near, and at most 1 % are "
        "accepted.",
    ),
    (
        decided(COHORT, 0.61, 0.001),
        "no",
        "Not recognised: the nearest, Ben, is at 0.61, above 0.60, the greatest distance that the cohort rule accepts.",
    ),
    (
        decided(COHORT, 0.44),
        "no",
        "Not recognised: the nearest, Ben, is at 0.44, but how near strangers come is not known here.",
    ),
    (
        decided(COHORT_REVIEWED, 0.44, 0.03),
        "look_again",
        "Look again: the nearest, Ben, is at 0.44, and 3.0 % of strangers would come as near: more than the 1 % that "
        "are accepted, but no more than the 5 % that are worth another look.",
    ),
    (
        decided(COHORT_REVIEWED, 0.44, 0.003, other=0.45),
        "look_again",
        "Look again: Ben at 0.44 would be accepted, but Ana is nearly as near, only 0.01 further away.",
    ),
]


@pytest.mark.parametrize(("decision", "verdict", "sentence"), CASES)
def test_each_reason_has_its_sentence(decision: Decision, verdict: str, sentence: str) -> None:
    assert decision.verdict == verdict
    assert said(decision) == sentence
    german = said(decision, GERMAN)
    starts = {"yes": "Erkannt als Ben: ", "no": "Nicht erkannt: ", "look_again": "Noch einmal hinsehen: "}
    assert german.startswith(starts[verdict])
    numbers = [word.strip(".,;: ") for word in sentence.split() if word[0].isdigit()]
    assert [number for number in numbers if number.replace(".", ",") not in german] == []


def test_somebody_who_is_nearer_by_another_network_is_not_further_away() -> None:
    elsewhere = replace(decided(COHORT, 0.44, 0.004, other=0.3), runner_up_space=("other", 0.6))
    expected = "By another network Ana is nearer, but more strangers would come as near there."
    assert elsewhere.margin is not None
    assert elsewhere.margin < 0
    assert said(elsewhere).endswith(expected)


def test_whoever_has_no_name_is_called_by_their_id() -> None:
    nameless = Decision(Candidate(1029, None, 0.1), None, 0.38, "m")
    assert said(nameless).startswith("Recognised as 1029: ")


def test_nobody_to_compare_with_and_no_decision_have_sentences() -> None:
    nobody = Decision(None, None, 0.38, "m")
    assert said(nobody, faces=0) == "Not recognised: nobody is enrolled yet."
    assert said(nobody) == "Nobody has a photo by this network."
    too_few = TooFewMembers(members=3, members_needed=30)
    assert said(too_few) == "The cohort rule needs 30 people for its alpha; there are 3."
    assert "30 Personen; es gibt 3." in said(too_few, GERMAN)
    for error in (TooLarge("x"), NotReady("y"), NoFace()):
        assert said(error) not in (str(error), "")
        assert said(error) != said(error, GERMAN)


@pytest.mark.parametrize(
    ("distance", "threshold", "expected"),
    [
        (0.214, 0.38, "0.21"),
        (-1e-16, 0.65, "0.00"),
        (0.38, 0.38, "0.38"),
        (0.3800001, 0.38, "0.380000"),
        (0.384, 0.38, "0.384"),
        (0.376, 0.38, "0.376"),
    ],
)
def test_a_distance_shows_its_side_of_the_threshold(distance: float, threshold: float, expected: str) -> None:
    assert distance_text(distance, threshold, ENGLISH) == expected
    assert distance_text(distance, threshold, GERMAN) == expected.replace(".", ",")


def test_shares_and_thresholds_have_the_digits_that_they_need() -> None:
    assert [limit_text(each, ENGLISH) for each in (0.38, 0.6, 0.855, 2.0)] == ["0.38", "0.60", "0.855", "2.00"]
    assert [alpha_text(each, ENGLISH) for each in (0.01, 0.05, 0.001, 0.025)] == ["1 %", "5 %", "0.1 %", "2.5 %"]
    assert [share_text(each, GERMAN) for each in (0.0, 0.0009, 0.012, 1.0)] == [
        "weniger als 0,1 %",
        "weniger als 0,1 %",
        "1,2 %",
        "100,0 %",
    ]
    assert LANGUAGES == ("en", "de")


def near(*distances: float, threshold: float = 0.38) -> tuple[NearPerson, ...]:
    return tuple(NearPerson(str(i), None, distance, threshold, "m") for i, distance in enumerate(distances))


def drawn(people: tuple[NearPerson, ...], crowd: Crowd | None = None) -> Any:
    return scale_of(trial(decided(THRESHOLD, people[0].distance), people=people, crowd=crowd))


@pytest.mark.parametrize(
    "distances", [(0.0,), (0.1, 0.1, 0.1, 0.1, 0.1), (0.3, 0.31, 0.5, 0.7, 0.71), (0.01, 1.9), (1.2e-7,)]
)
def test_people_stand_where_their_distances_are_and_touch_nobody(distances: tuple[float, ...]) -> None:
    scale = drawn(near(*distances))
    zero, per_unit = scale.ticks[0].x, (scale.threshold.x - scale.ticks[0].x) / 0.38
    for dot, distance in zip(scale.dots, distances, strict=True):
        assert dot.x == pytest.approx(zero + per_unit * distance, abs=0.6)
        assert RADIUS <= dot.x <= WIDTH - RADIUS
        assert dot.y + RADIUS <= scale.height
    for tick in scale.ticks:
        assert tick.x == pytest.approx(zero + per_unit * tick.value, abs=0.6)
    assert 3 <= len(scale.ticks) <= 14
    assert len({f"{tick.value:.{scale.digits}f}" for tick in scale.ticks}) == len(scale.ticks)
    for one in scale.dots:
        for other in scale.dots:
            assert one is other or math.dist((one.x, one.y), (other.x, other.y)) > 2 * RADIUS


def test_somebody_of_another_model_stands_at_the_same_multiple_of_the_threshold() -> None:
    people = (*near(0.19), *near(1.3, threshold=0.65))
    scale = drawn(people)
    zero, limit = scale.ticks[0].x, scale.threshold.x
    assert scale.dots[1].x - zero == pytest.approx(2 * (limit - zero), abs=0.3)


def test_the_crowd_is_as_high_as_its_shares_and_the_line_of_alpha_has_its_place() -> None:
    shares = (*[0.0] * 20, 0.1, 0.3, 0.6)
    scale = drawn(near(0.2), Crowd(50, shares, Estimate(0, 0, 0), 0.45))
    points = [tuple(map(float, point.split(","))) for point in scale.crowd.split()]
    zero, per_unit = scale.ticks[0].x, (scale.threshold.x - scale.ticks[0].x) / 0.38
    top = min(y for _, y in points)
    for i, share in enumerate(shares):
        left, right = points[1 + 2 * i], points[2 + 2 * i]
        assert left[1] == right[1] == pytest.approx(scale.axis - share / 0.6 * (scale.axis - top), abs=0.1)
        assert (left[0] - zero) == pytest.approx(min(per_unit * i * BIN_WIDTH, WIDTH), abs=0.6)
    assert scale.for_alpha.x - zero == pytest.approx(per_unit * 0.45, abs=0.6)
    assert drawn(near(0.2)).crowd == ""
    assert drawn(near(0.2)).height < scale.height
    assert scale_of(trial(decided(THRESHOLD, 0.2))) is None
