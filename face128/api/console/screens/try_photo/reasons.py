"""Why a face was recognised or not, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from face128.api.console.sentences import Sentences
from face128.matching.outcome import Candidate, Decision

if TYPE_CHECKING:
    from face128.gallery.trial import Outcome, Trial

LEAST_SHARE = 0.001  # a smaller share of strangers is written as "less than"
MAX_DIGITS = 6


def why(trial: Trial, sentences: Sentences) -> str:
    """Of the decision of a trial; or why there is none."""
    outcome = trial.outcome
    if not isinstance(outcome, Decision):
        return no_decision(outcome, sentences)
    if outcome.nearest is None:
        return sentences.text("try.why.nobody_enrolled" if not trial.faces else "try.why.nobody_comparable")
    sentence = sentences.text(f"try.why.{_reason(outcome)}", **_values(outcome, outcome.nearest, sentences))
    return sentence if outcome.verdict != "yes" else f"{sentence} {_next_nearest(outcome, sentences)}"


def no_decision(error: Outcome, sentences: Sentences) -> str:
    """Why an outcome is no decision."""
    assert not isinstance(error, Decision)
    for key in (f"try.no_decision.{error.code}", f"errors.{error.code}"):
        if key in sentences:
            return sentences.text(key, **error.context)
    return str(error)


def distance_text(distance: float, threshold: float, sentences: Sentences) -> str:
    """With two digits; with more where two would not show on which side of the threshold it is.

    Rounding makes the cosine distance of two equal descriptors a little less than 0.
    """
    distance, digits = max(distance, 0.0), 2
    while digits < MAX_DIGITS and distance != threshold and round(distance, digits) == round(threshold, digits):
        digits += 1
    return sentences.number(distance, digits)


def limit_text(threshold: float, sentences: Sentences) -> str:
    """With as many digits as it has, at least two."""
    digits = next((digits for digits in range(2, MAX_DIGITS) if round(threshold, digits) == threshold), MAX_DIGITS)
    return sentences.number(threshold, digits)


def share_text(share: float, sentences: Sentences) -> str:
    if 0 <= share < LEAST_SHARE:
        return sentences.text("try.less_than", share=sentences.percent(LEAST_SHARE))
    return sentences.percent(share)


def alpha_text(alpha: float, sentences: Sentences) -> str:
    """A share that was set, with no more digits than it has."""
    digits = next((digits for digits in range(MAX_DIGITS) if round(alpha, digits + 2) == alpha), MAX_DIGITS)
    return sentences.percent(alpha, digits)


def name_of(one: Candidate) -> str:
    return one.name or str(one.reg_no)


def _reason(decision: Decision) -> str:
    """The sentence of the catalogue: ``<rule>.<verdict>``, and what made it so where there is more than one reason."""
    assert decision.nearest is not None
    rule, verdict = decision.rule.name, decision.verdict
    near = decision.nearest.distance <= decision.threshold
    risk = None if decision.cohort_score is None else decision.cohort_score.stranger_risk
    if verdict == "yes":
        return f"{rule}.yes"
    accepted = near and (rule == "threshold" or (risk is not None and risk <= decision.rule.alpha))
    if verdict == "look_again":
        return f"{rule}.look_again.{'shared' if accepted else 'nearly'}"
    if rule == "threshold":
        return f"{rule}.no"
    return f"cohort.no.{'no_score' if risk is None else 'too_risky' if near else 'too_far'}"


def _values(decision: Decision, nearest: Candidate, sentences: Sentences) -> dict[str, str]:
    """All that any of the sentences names."""
    score, review_alpha = decision.cohort_score, decision.rule.review_alpha
    return {
        "name": name_of(nearest),
        "distance": distance_text(nearest.distance, decision.threshold, sentences),
        "threshold": limit_text(decision.threshold, sentences),
        "alpha": alpha_text(decision.rule.alpha, sentences),
        "review_alpha": "" if review_alpha is None else alpha_text(review_alpha, sentences),
        "risk": "" if score is None else share_text(score.stranger_risk, sentences),
        "other": "" if decision.runner_up is None else name_of(decision.runner_up),
        "margin": _margin_text(decision, sentences),
    }


def _next_nearest(decision: Decision, sentences: Sentences) -> str:
    if decision.runner_up is None:
        return sentences.text("try.why.nobody_else")
    values = {"other": name_of(decision.runner_up), "margin": _margin_text(decision, sentences)}
    # By the cohort rule the least risk decides: in the space of another network somebody may be nearer.
    nearer = decision.margin is not None and decision.margin < 0 and decision.runner_up_space is not None
    return sentences.text("try.why.nearer_elsewhere" if nearer else "try.why.next_nearest", **values)


def _margin_text(decision: Decision, sentences: Sentences) -> str:
    return "" if decision.margin is None else distance_text(decision.margin, 0.0, sentences)
