"""The two rules of the decision by their names, as a request says them: ``{"rule": "cohort", "alpha": 0.01}``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from face128.errors import InvalidRequest

if TYPE_CHECKING:
    from face128.domain.model_card import ModelCard


@dataclass(frozen=True)
class Rule:
    name: Literal["threshold", "cohort"] = "threshold"
    """threshold: near enough. cohort: nearer than strangers come (cohort.py), and not beyond the model's cap."""
    alpha: float = 0.01
    """The share of strangers that the cohort rule may accept; nothing to the threshold rule."""

    def limit(self, card: ModelCard, asked: float | None) -> float:
        """The distance beyond which nobody is let in: what was asked for, or the model's own."""
        if asked is not None:
            return asked
        return card.threshold if self.name == "threshold" else card.cap


THRESHOLD = Rule()


def parse(value: Any, default: Rule) -> Rule:
    """The rule in an already decoded JSON value; without an alpha, the default's. Raises InvalidRequest."""
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
