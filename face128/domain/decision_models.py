"""By which models a probe and a member are compared, where there are several (FACE128_DECISION_MODELS)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from face128.domain.model_card import DLIB, ModelCard, pair_card

DecisionModels = Literal["dlib", "retail", "dlib+retail"]


def spaces(cards: Iterable[ModelCard], order: DecisionModels) -> list[ModelCard]:
    """What a face with descriptors of these models can be compared in, the preferred first.

    A member is compared in the first that both sides have. With "dlib+retail" that is the pair of both, which
    domain/fusion.py makes. Models that ``order`` does not name come last.
    """
    known = list(cards)
    dlib = [card for card in known if card.comparable(DLIB)]
    retail = [card for card in known if pair_card(DLIB, card)]
    others = [card for card in known if card not in dlib and card not in retail]
    if order == "dlib":
        return dlib + retail + others
    pairs = [pair for first in dlib for second in retail if (pair := pair_card(first, second))]
    return (pairs if order == "dlib+retail" else []) + retail + dlib + others
