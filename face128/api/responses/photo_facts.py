"""What an answer says about a photo, besides its face."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from face128.encoding.quality import Reason, Verdict


class Adjusted(BaseModel):
    """What was done to the photo before its face was described; a field is absent where nothing was."""

    turned: Literal[90, 180, 270] | None = None  # degrees clockwise
    margin_added: Literal[True] | None = None
    lightened: Literal[True] | None = None


class QualityMeasures(BaseModel):
    """See docs/quality.md; null where the engine's landmarks, or the part of the face in the photo, do not show it."""

    eye_distance: float | None  # pixels
    sharpness: float | None
    brightness: float | None  # 0 to 1
    contrast: float | None
    yaw: float | None  # degrees; positive to the photo's right
    pitch: float | None  # degrees; positive up
    roll: float | None  # degrees; positive clockwise
    margin: float | None  # eye distances


class Quality(BaseModel):
    verdict: Verdict
    reasons: list[Reason]  # why it is not good
    measures: QualityMeasures


MODELS: dict[str, type[BaseModel]] = {"adjusted": Adjusted, "quality": Quality}
"""The stored facts (PHOTO_FACTS of the gallery) that an answer has, by the name of the field."""


def answered_facts(stored: dict[str, Any]) -> dict[str, Any]:
    """The stored facts about a photo as fields of an answer; one that is damaged is left out."""
    facts = {}
    for name, model in MODELS.items():
        with suppress(KeyError, ValidationError):
            facts[name] = model.model_validate(stored[name])
    return facts
