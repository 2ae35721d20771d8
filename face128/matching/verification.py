"""How far two descriptors are from each other, where that means anything."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Any

from face128.domain.descriptors import Block, Metric, Vector, distance, parse
from face128.domain.model_card import MODELS, ModelCard, find_card
from face128.errors import InvalidRequest, ModelMismatch

METRICS: dict[int, Metric] = {128: "euclidean", 512: "cosine"}
"""The metric of descriptors whose model is not named, by their length (document 4)."""


@dataclass(frozen=True)
class Comparison:
    distance: float
    metric: Metric

    @property
    def similarity(self) -> float:
        """1 - distance, not below -1 (document 1)."""
        return max(-1.0, 1 - self.distance)


def compare(a: Block | Vector, b: Block | Vector, card: ModelCard) -> Comparison:
    """Compare two descriptors of one model."""
    return Comparison(distance(a, b, card.metric), card.metric)


def compare_wire(body: Any) -> Comparison:
    """Compare ``embedding_a`` and ``embedding_b`` of a decoded JSON object, in any wire form.

    ``model`` names the model of both, ``model_a`` and ``model_b`` that of one. Raises InvalidDescriptor, InvalidRequest
    for an unknown model, and ModelMismatch where lengths or models cannot be compared.
    """
    if not isinstance(body, dict):
        raise InvalidRequest('The body must be {"embedding_a": [...], "embedding_b": [...]}.', field="embedding_a")
    cards = [_card(body, field) for field in ("model_a", "model_b")]
    vectors = []
    for field in ("embedding_a", "embedding_b"):
        length = _length(body.get(field))
        # Any other length is parsed as if it were the usual one: the error then says what a descriptor is.
        vectors.append(parse(body.get(field), length if length in METRICS else 128, field))
    a, b = vectors
    first, second = cards
    if len(a) != len(b):
        raise ModelMismatch(f"Descriptors of {len(a)} and of {len(b)} numbers cannot be compared.")
    if any(card is not None and card.dimension != len(a) for card in cards):
        raise ModelMismatch("The descriptors do not have as many numbers as those of the model.")
    if first is not None and second is not None and not first.comparable(second):
        raise ModelMismatch()
    known = first or second
    metric = known.metric if known is not None else METRICS[len(a)]
    return Comparison(distance(a, b, metric), metric)


def _card(body: dict[str, Any], field: str) -> ModelCard | None:
    name = body.get(field, body.get("model"))
    if name is None:
        return None
    card = find_card(name)
    if card is None:
        raise InvalidRequest(f"The models are: {MODELS}.", field=field if field in body else "model")
    return card


def _length(value: object) -> int:
    if isinstance(value, str):
        try:
            return len(binascii.a2b_base64(value)) // 4
        except ValueError:
            return 0
    return len(value) if isinstance(value, list | dict) else 0
