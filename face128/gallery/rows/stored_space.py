"""What faces are compared in: the descriptors of one model and those comparable with it, or the pairs of two models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from face128.domain.descriptors import Matrix, Metric
from face128.domain.fusion import fuse
from face128.domain.model_card import ModelCard, find_card, find_card_or_pair, pair_card

Models = frozenset[str]


@dataclass(frozen=True)
class StoredSpace:
    models: Models
    """All names that a descriptor of this space may have; those of pairs have a "+"."""
    dimension: int
    metric: Metric
    cohort_cap: float

    @classmethod
    def of(cls, card: ModelCard) -> StoredSpace:
        return cls(comparable_models(card), card.dimension, card.metric, card.cohort_cap)

    @property
    def of_pairs(self) -> bool:
        return any("+" in model for model in self.models)

    @property
    def stored_models(self) -> Models:
        """The models of the rows that its descriptors are made of: pairs are not stored."""
        return frozenset(part for model in self.models for part in model.split("+"))

    def model_of(self, photo: Iterable[str]) -> str | None:
        """The name that a photo with descriptors of these models has here; None if it cannot be compared here."""
        if not self.of_pairs:
            return next((model for model in photo if model in self.models), None)
        have = set(photo)
        return next((pair for pair in sorted(self.models) if have.issuperset(pair.split("+"))), None)


def vectors_of(names: Sequence[str], photos: Sequence[Mapping[str, bytes]]) -> Matrix:
    """(photos, dimension) the descriptors of photos, at least one, by their names in one space and what is stored."""
    if "+" not in names[0]:
        return _matrix([photo[name] for name, photo in zip(names, photos, strict=True)])
    models = [name.split("+") for name in names]
    first, second = ([photo[own[side]] for own, photo in zip(models, photos, strict=True)] for side in (0, 1))
    return fuse(_matrix(first), _matrix(second))


def _matrix(embeddings: list[bytes]) -> Matrix:
    return np.frombuffer(b"".join(embeddings), "<f4").reshape(len(embeddings), -1)


def comparable_models(card: ModelCard) -> Models:
    """The models whose descriptors may be compared with this card's, its own included."""
    return card.comparable_with | {card.name}


def names_of(photo: Iterable[str]) -> list[str]:
    """All names that a photo with descriptors of these models has in any space: the models, and their pairs."""
    models = sorted(photo)
    cards = [card for card in map(find_card, models) if card is not None]
    pairs = [pair.name for one in cards for other in cards if (pair := pair_card(one, other)) is not None]
    return models + pairs


def metric_of(name: str) -> Metric:
    """The metric of descriptors with this name. A model without a card (the fake engine's) is Euclidean."""
    card = find_card_or_pair(name)
    return "euclidean" if card is None else card.metric
