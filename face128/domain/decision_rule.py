"""The two decision rules of /match, as a request names them: ``{"rule": "cohort", "alpha": 0.01}``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from face128.domain.model_card import ModelCard
from face128.errors import InvalidRequest


@dataclass(frozen=True)
class Rule:
    name: Literal["threshold", "cohort"] = "threshold"
    """threshold: accept the nearest member within the threshold. cohort: accept the nearest member within the model's
    ``cohort_cap`` if strangers rarely come as near (matching/conformal.py)."""
    alpha: float = 0.01
    """The share of strangers that the cohort rule may accept; the threshold rule ignores it."""

    def max_distance(self, card: ModelCard, requested: float | None) -> float:
        """The greatest distance that may be accepted: the requested one, else the model's own for this rule."""
        if requested is not None:
            return requested
        return card.threshold if self.name == "threshold" else card.cohort_cap


THRESHOLD = Rule()


def parse(value: Any, default: Rule) -> Rule:
    """The rule in a decoded JSON value; without an alpha, the default's alpha. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest("A decision is an object with rule, and alpha for the cohort rule.", field="decision")
    name, alpha = value.get("rule"), value.get("alpha")
    if name not in ("threshold", "cohort"):
        raise InvalidRequest("The rules are: threshold, cohort.", field="decision.rule")
    if alpha is None:
        return replace(default, name=name)
    if name == "threshold":
        raise InvalidRequest("The threshold rule has no alpha.", field="decision.alpha")
    if not (type(alpha) in (int, float) and 0 < alpha < 1):
        raise InvalidRequest("An alpha is a number above 0 and below 1.", field="decision.alpha")
    return Rule(name, float(alpha))
