"""One to one: two descriptors, after checking that their distance is meaningful; a probe and one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from face128.domain.descriptors import NO_FINITE_DISTANCE, Matrix, Metric, Vector, distance, distances, parse
from face128.domain.model_card import MODEL_NAMES, ModelCard, find_card
from face128.errors import InvalidDescriptor, InvalidRequest, ModelMismatch

METRIC_BY_DIMENSION: dict[int, Metric] = {128: "euclidean", 256: "cosine", 512: "cosine"}
"""The metric of descriptors whose model is not named; 128 and 512 as in the embeddings service."""


@dataclass(frozen=True)
class Comparison:
    distance: float
    metric: Metric

    @property
    def similarity(self) -> float:
        """1 - distance, not below -1, as in the InsightFace service."""
        return max(-1.0, 1 - self.distance)


def distance_to_person(vectors: Matrix, probe: Matrix | Vector, metric: Metric) -> float:
    """The distance of a probe to the nearest of a person's descriptors or templates, (rows, dimension).

    Raises InvalidDescriptor where it has a finite distance to none of them.
    """
    all_distances = distances(vectors, probe, metric)
    finite = all_distances[np.isfinite(all_distances)]
    if not len(finite):
        raise InvalidDescriptor(NO_FINITE_DISTANCE)
    return float(finite.min())


def compare_request(body: Any) -> Comparison:
    """Compare ``embedding_a`` and ``embedding_b`` of a decoded JSON body, in any wire form.

    ``model`` names the model of both, ``model_a`` and ``model_b`` that of one. Raises InvalidDescriptor, InvalidRequest
    for an unknown model, and ModelMismatch if lengths or models are not comparable.
    """
    if not isinstance(body, dict):
        raise InvalidRequest('The body must be {"embedding_a": [...], "embedding_b": [...]}.', field="embedding_a")
    cards = [_card(body, field) for field in ("model_a", "model_b")]
    a, b = (_vector(body.get(field), field) for field in ("embedding_a", "embedding_b"))
    first, second = cards
    if len(a) != len(b):
        raise ModelMismatch(f"Descriptors of {len(a)} and of {len(b)} numbers cannot be compared.")
    if any(card is not None and card.dimension != len(a) for card in cards):
        raise ModelMismatch("The descriptors do not have as many numbers as those of the model.")
    if first is not None and second is not None and not first.comparable(second):
        raise ModelMismatch()
    card = first or second
    metric = card.metric if card is not None else METRIC_BY_DIMENSION[len(a)]
    return Comparison(distance(a, b, metric), metric)


def _card(body: dict[str, Any], field: str) -> ModelCard | None:
    name = body.get(field, body.get("model"))
    if name is None:
        return None
    card = find_card(name)
    if card is None:
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field=field if field in body else "model")
    return card


def _vector(value: object, field: str) -> Vector:
    count = len(value) if isinstance(value, str | list | dict) else 0
    dimension = count * 3 // 16 if isinstance(value, str) else count  # 16 characters of base64 are 3 numbers of 4 bytes
    # Parse an unknown dimension as 128 numbers: the error then says what a descriptor is.
    return parse(value, dimension if dimension in METRIC_BY_DIMENSION else 128, field)
