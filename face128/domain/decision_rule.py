"""The two decision rules of /match, as a request names them: ``{"rule": "cohort", "alpha": 0.01}``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from face128.domain.model_card import ModelCard
from face128.errors import InvalidRequest

Tail = Literal["exact", "estimate"]
"""What computes ``stranger_risk``: a bound that is proven, or an estimate (matching/tails.py)."""
Verdict = Literal["yes", "look_again", "no"]
DecisionKind = Literal["search", "verify"]
"""A search among all, or a comparison with one person."""
Judgement = Literal["right", "wrong", "person"]
"""What somebody says of a decision: it is the person who was found; it is not; it is another person, who is named."""


@dataclass(frozen=True)
class Rule:
    name: Literal["threshold", "cohort"] = "threshold"
    """threshold: accept the nearest member within the threshold. cohort: accept the nearest member within the model's
    ``cohort_cap`` if strangers rarely come as near (matching/conformal.py)."""
    alpha: float = 0.01
    """The share of strangers that the cohort rule may accept; the threshold rule ignores it."""
    tail: Tail | Literal["auto"] = "auto"
    """auto: what the number of members is good for."""
    review_alpha: float | None = None
    """Who is refused with a ``stranger_risk`` of at most this, or accepted with a runner-up nearly as near, is worth
    another look. None: there are only a match and none."""

    @property
    def reviews(self) -> bool:
        """Whether an answer may be "look_again"."""
        return self.review_alpha is not None

    @property
    def greatest_risk(self) -> float:
        """Above this ``stranger_risk`` the cohort rule's verdict is "no"."""
        return max(self.alpha, self.review_alpha or 0.0)

    def max_distance(self, card: ModelCard, requested: float | None) -> float:
        """The greatest distance that may be accepted: the requested one, else the model's own for this rule."""
        if requested is not None:
            return requested
        return card.threshold if self.name == "threshold" else card.cohort_cap

    def review_distance(self, card: ModelCard, requested: float | None) -> float:
        """The greatest distance that may be worth another look."""
        greatest = self.max_distance(card, requested)
        return greatest if self.name == "cohort" else max(greatest, card.cohort_cap)


THRESHOLD = Rule()


def parse(value: Any, default: Rule) -> Rule:
    """The rule in a decoded JSON value; what it does not name is the default's. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest("A decision is an object with rule, and alpha for the cohort rule.", field="decision")
    name, alpha, tail, review_alpha = map(value.get, ("rule", "alpha", "tail", "review_alpha"))
    if name not in ("threshold", "cohort"):
        raise InvalidRequest("The rules are: threshold, cohort.", field="decision.rule")
    rule = replace(default, name=name)
    if alpha is not None:
        if name == "threshold":
            raise InvalidRequest("The threshold rule has no alpha.", field="decision.alpha")
        rule = replace(rule, alpha=_share(alpha, "alpha"))
    if tail is not None:
        if tail not in ("exact", "estimate"):
            raise InvalidRequest("The tails are: exact, estimate.", field="decision.tail")
        rule = replace(rule, tail=tail)
    if review_alpha is not None:
        rule = replace(rule, review_alpha=_share(review_alpha, "review_alpha"))
        if name == "cohort" and rule.greatest_risk == rule.alpha:
            raise InvalidRequest("A review_alpha is above alpha.", field="decision.review_alpha")
    return rule


def _share(value: Any, name: str) -> float:
    if type(value) in (int, float) and 0 < value < 1:
        return float(value)
    article = "An" if name == "alpha" else "A"
    raise InvalidRequest(f"{article} {name} is a number above 0 and below 1.", field=f"decision.{name}")
