"""The greatest distances that a request allows, by model: a number for the probe's own, or ``{model: number}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from face128.domain.model_card import MODEL_NAMES, ModelCard, find_card_or_pair
from face128.errors import InvalidRequest

Thresholds = Mapping[str, float]
"""By the names of models and of pairs. Where there is none, the model card's counts: see ``Rule.max_distance``."""

NONE: Thresholds = {}


def parse(value: Any) -> float | dict[str, float]:
    """The ``threshold`` in a decoded JSON value; an empty dict if it is null. Raises InvalidRequest."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        return _distance(value, "threshold")
    found = {}
    for name, number in value.items():
        if find_card_or_pair(name) is None:
            raise InvalidRequest(
                f"Thresholds are for models, or pairs as dlib-resnet-v1+retail-0095. The models are: {MODEL_NAMES}.",
                field="threshold",
            )
        if number is not None:
            found[name] = _distance(number, f"threshold.{name}")
    return found


def for_probe(parsed: float | dict[str, float], own: ModelCard) -> Thresholds:
    """What ``parse`` has found, for a probe whose own model is this."""
    return parsed if isinstance(parsed, dict) else {own.name: parsed}


def _distance(value: Any, field: str) -> float:
    if type(value) in (int, float) and 0 < value <= 2:
        return float(value)
    raise InvalidRequest("A threshold is a number above 0 and not above 2.", field=field)
