"""What the template of a trial shows, from the trial: text where a number is written in a way of its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from face128.api.console.pages import View
from face128.api.console.screens.try_photo import reasons
from face128.api.console.screens.try_photo.scale import scale_of
from face128.encoding.look import LookedAt
from face128.matching.outcome import Decision
from face128.service.trials import PhotoTrial

if TYPE_CHECKING:
    from face128.api.console.sentences import Sentences
    from face128.gallery.trial import Outcome, Trial


def photo_values(view: View, tried: PhotoTrial) -> dict[str, Any]:
    photo = _photo(tried.looked)
    if tried.trial is None:
        return {"photo": photo, "trial": None}
    return {"photo": photo, **trial_values(view, tried.trial)}


def trial_values(view: View, trial: Trial) -> dict[str, Any]:
    sentences, outcome = view.sentences, trial.outcome
    decided = outcome if isinstance(outcome, Decision) else None
    score = decided.cohort_score if decided else None
    return {
        "trial": trial,
        "verdict": decided.verdict if decided else "none",
        "why": reasons.why(trial, sentences),
        "scale": scale_of(trial),
        "people": list(_people(trial, sentences)),
        "several_models": len({person.model for person in trial.people}) > 1,
        "crowd": _crowd(trial, sentences),
        "risk": score and reasons.share_text(score.stranger_risk, sentences),
        "risk_tail": score and ("sampled" if score.sampled else score.tail),
        "threshold": trial.threshold and reasons.limit_text(trial.threshold, sentences),
        "alpha": reasons.alpha_text(trial.rule.alpha, sentences),
        "others": _others(trial, decided, sentences),
        "left_out": trial.is_large,
    }


def _photo(looked: LookedAt) -> dict[str, Any]:
    faces = []
    for number, (face, quality) in enumerate(zip(looked.faces, looked.qualities, strict=True), 1):
        left, top, right, bottom = face.box
        box = max(left, 0), max(top, 0), min(right, looked.width), min(bottom, looked.height)
        faces.append({"number": number, "box": box, "verdict": quality.verdict, "reasons": quality.reasons})
    return {
        "source": f"data:image/jpeg;base64,{base64.b64encode(looked.preview).decode()}",
        "width": looked.width,
        "height": looked.height,
        "unit": max(looked.width, looked.height) / 100,
        "faces": faces,
        "adjusted": looked.faces[0].adjusted.to_json() if looked.faces else {},
    }


def _people(trial: Trial, sentences: Sentences) -> Iterator[dict[str, Any]]:
    for number, person in enumerate(trial.people, 1):
        yield {
            "number": number,
            "user_id": person.user_id,
            "name": person.name,
            "distance": reasons.distance_text(person.distance, person.threshold, sentences),
            "threshold": reasons.limit_text(person.threshold, sentences),
            "near": person.distance <= person.threshold,
            "model": person.model,
        }


def _crowd(trial: Trial, sentences: Sentences) -> dict[str, Any] | None:
    if (crowd := trial.crowd) is None:
        return None
    within = crowd.within
    return {
        "people": crowd.people,
        "share": reasons.share_text(within.share, sentences),
        "low": sentences.percent(within.low),
        "high": sentences.percent(within.high),
        "for_alpha": None if crowd.for_alpha is None else sentences.number(crowd.for_alpha),
    }


def _others(trial: Trial, decided: Decision | None, sentences: Sentences) -> list[dict[str, Any]]:
    """What was decided, and what each other setting would have decided."""
    served = {"is_served": True, "value": trial.rule.name, "key": f"try.other.rule.{trial.rule.name}", "differs": False}
    rows = [served | _told(trial.outcome, sentences)]
    for each in trial.alternatives:
        differs = decided and isinstance(each.outcome, Decision) and _answer(each.outcome) != _answer(decided)
        key = f"try.other.{each.setting}.{'name' if each.setting == 'engine' else each.value}"
        row = {"is_served": False, "value": each.value, "key": key, "differs": differs}
        rows.append(row | _told(each.outcome, sentences))
    return rows


def _told(outcome: Outcome, sentences: Sentences) -> dict[str, Any]:
    if not isinstance(outcome, Decision):
        return {"verdict": "none", "problem": reasons.no_decision(outcome, sentences)}
    nearest, score = outcome.nearest, outcome.cohort_score
    if nearest is None:
        return {"verdict": outcome.verdict, "problem": sentences.text("try.why.nobody_comparable")}
    return {
        "verdict": outcome.verdict,
        "problem": None,
        "nearest": reasons.name_of(nearest),
        "distance": reasons.distance_text(nearest.distance, outcome.threshold, sentences),
        "threshold": reasons.limit_text(outcome.threshold, sentences),
        "risk": score and reasons.share_text(score.stranger_risk, sentences),
    }


def _answer(decided: Decision) -> tuple[object, ...]:
    """What a door would be told."""
    return decided.verdict, decided.nearest.reg_no if decided.nearest and decided.verdict != "no" else None
