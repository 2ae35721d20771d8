"""A face to be recognised: its descriptor by each network that has looked at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from face128.domain import decision_models, descriptors
from face128.domain.decision_models import DecisionModels
from face128.domain.descriptors import Matrix, Metric, Vector, distances, is_list_of_descriptors, parse_several
from face128.domain.fusion import fuse
from face128.domain.model_card import MAX_MODELS, MODEL_NAMES, ModelCard, find_card
from face128.errors import InvalidDescriptor, InvalidRequest

NO_DESCRIPTORS = f"A probe's descriptors are a list of them, or an object with those of up to {MAX_MODELS} models."


@dataclass(frozen=True)
class Probe:
    descriptors: tuple[tuple[ModelCard, Matrix | Vector], ...]
    """One (dimension,) for each model. The first is the probe's own model: a threshold that is a number is for it."""
    by_model: bool = False
    """Whether the request says which model made which: an explained answer then names the models that decided."""
    order: DecisionModels | None = None
    """By which networks to decide; None: as FACE128_DECISION_MODELS says. Only shadow decisions set it."""

    @classmethod
    def of(
        cls, card: ModelCard, descriptor: Matrix | Vector, companions: Mapping[str, Matrix | Vector] | None = None
    ) -> Self:
        """The descriptor by the engine that was asked, and those by its ``companions``, by their models' names."""
        others = [(find_card(model), vector) for model, vector in (companions or {}).items()]
        known = tuple((other, vector) for other, vector in others if other is not None)
        return cls(((card, descriptor), *known), by_model=bool(known))

    @property
    def own(self) -> ModelCard:
        return self.descriptors[0][0]

    def spaces(self, order: DecisionModels) -> list[tuple[ModelCard, Matrix | Vector]]:
        """What it can be compared in, the preferred first, and its descriptor there: the pairs' are made here."""
        if len(self.descriptors) == 1:
            return list(self.descriptors)
        by_name = {card.name: vector for card, vector in self.descriptors}
        found: list[tuple[ModelCard, Matrix | Vector]] = []
        for card in decision_models.spaces([card for card, _ in self.descriptors], self.order or order):
            first, _, second = card.name.partition("+")
            found.append((card, fuse(by_name[first], by_name[second]) if second else by_name[first]))
        return found


def parse(descriptor: Any, several: Any, card: ModelCard) -> Probe:
    """The probe in a request's fields ``descriptor`` and ``descriptors``, as decoded JSON.

    ``card``'s model made those that name none. Several descriptors of one model are averaged. Raises InvalidDescriptor,
    and InvalidRequest for a model that is not known.
    """
    if several is None:
        return Probe(((card, descriptors.parse(descriptor, card.dimension)),))
    photos: dict[str, tuple[ModelCard, list[Vector]]] = {}
    if not _is_empty(descriptor):
        photos[card.name] = card, [descriptors.parse(descriptor, card.dimension)]
    if isinstance(several, str) and several:
        several = parse_several(several, "descriptors")
    if isinstance(several, list):
        found = [(card, several, "descriptors")] if several else []
    elif isinstance(several, dict) and len(several) <= MAX_MODELS:
        found = [(_card(name), value, f"descriptors.{name}") for name, value in several.items()]
    elif several == "":
        found = []
    else:
        raise InvalidDescriptor(NO_DESCRIPTORS, field="descriptors")
    for of_card, value, field in found:
        places = _photos(value, of_card, field)
        known = photos.setdefault(of_card.name, (of_card, []))[1]
        first = places[0] if places else None
        if isinstance(several, dict) and known and first is not None and np.array_equal(known[0], first):
            del places[0]  # ``descriptor`` is this photo's
        known += [each for each in places if each is not None]
    vectors = [(each, mean_descriptor(own, each.metric)) for each, own in photos.values() if own]
    if not vectors:
        raise InvalidDescriptor("The probe has no descriptor.", field="descriptors")
    vectors.sort(key=lambda each: each[0].name != card.name)
    return Probe(tuple(vectors), by_model=isinstance(several, dict))


def _card(name: str) -> ModelCard:
    card = find_card(name)
    if card is None:
        if name.isdigit():  # of one descriptor, as JSON.stringify(Float32Array) makes it
            raise InvalidDescriptor(NO_DESCRIPTORS, field="descriptors")
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="descriptors")
    return card


def _photos(value: Any, card: ModelCard, field: str) -> list[Vector | None]:
    """The descriptors in a value that is one, or a list of them; None in empty places. Raises InvalidDescriptor."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        value = parse_several(value, field)
    if not (isinstance(value, list) and is_list_of_descriptors(value)):
        return [] if _is_empty(value) else [descriptors.parse(value, card.dimension, field)]
    return [
        None if _is_empty(each) else descriptors.parse(each, card.dimension, f"{field}[{place}]")
        for place, each in enumerate(value)
    ]


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], "")


def mean_descriptor(photos: Sequence[Vector], metric: Metric) -> Vector:
    """The mean of a face's descriptors by one model, as doubles added from the first to the last; one is left as it is.

    Where the metric is the cosine each of several is scaled to length 1 first.
    """
    if len(photos) == 1:
        return photos[0]
    rows = np.array(photos, np.float64)
    if metric == "cosine":
        with np.errstate(all="ignore"):
            rows /= distances(rows, np.zeros(rows.shape[1]), "euclidean")[:, None]
    total = np.zeros(rows.shape[1])
    with np.errstate(over="ignore"):
        for row in rows:
            total += row
        return total / len(rows)
