"""Collects the descriptors of a list's members by their models, from the fields of each member.

``descriptor`` and ``descriptors: [D, ...]`` are of the member's ``model``, or of the request's. ``descriptors`` may be
an object instead, ``{model: D}`` or ``{model: [D, ...]}``: descriptors of two models at one place of their lists are of
one photo, and a null keeps a place empty. ``descriptor`` beside an object is the first photo of its model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from simdjson import Array

from face128.domain.descriptors import Matrix, is_list_of_descriptors, parse_several
from face128.domain.members import PAIRS_WITH_NONE, ModelRows
from face128.domain.model_card import MAX_MODELS, MODEL_NAMES, ModelCard, find_card, in_one_pair
from face128.errors import InvalidDescriptor, InvalidRequest, ModelMismatch
from face128.match_body.descriptor_rows import DescriptorRows
from face128.match_body.json_document import ARRAYS, OBJECTS

PHOTO_BITS = 31
"""A row's number is the member's, and in its lowest bits the photo's: in this order DescriptorRows keeps the rows."""


class ModelCollector:
    """``card``'s model made the descriptors of members that name none. Errors have the field within the member."""

    def __init__(self, card: ModelCard, *, strict: bool) -> None:
        self._card = card
        self._strict = strict
        self._rows: dict[str, tuple[ModelCard, DescriptorRows]] = {}
        self._own = self._rows_of(card)
        self._named = False  # whether a member names another model than the request's
        self._named_cards = {card.name: card}  # the models that a member's ``model`` may name, as far as they have

    @property
    def rows(self) -> list[DescriptorRows]:
        return [rows for _, rows in self._rows.values()]

    def to_arrays(self) -> tuple[Matrix, npt.NDArray[np.int64], tuple[ModelRows, ...]]:
        """The descriptors and their owners; or none, and the rows of each model, where a member names one."""
        vectors, numbers = self._own.to_arrays()
        if not self._named:
            return vectors, numbers >> PHOTO_BITS, ()
        of_models = []
        for card, rows in self._rows.values():
            if len(rows):
                each, numbers = rows.to_arrays()
                photos = (numbers & ((1 << PHOTO_BITS) - 1)) + PAIRS_WITH_NONE
                of_models.append(ModelRows(card, each, numbers >> PHOTO_BITS, photos))
        return np.empty((0, self._card.dimension)), np.empty(0, np.int64), tuple(of_models)

    def add(self, member: int, one: Any, several: Any, model: Any) -> None:
        """Add what is in a member's fields ``descriptor``, ``descriptors`` and ``model``; members come in their order.

        Raises InvalidDescriptor, InvalidRequest, and ModelMismatch.
        """
        number = member << PHOTO_BITS
        if several is None:
            if one is not None:
                rows = self._own if model is None else self._named_model(model)[1]
                if not _is_empty(one):
                    rows.add(one, number)
            return
        if type(several) is str and several:
            several = parse_several(several, "descriptors")
        by_model = several if isinstance(several, OBJECTS) else None
        card, rows = self._card, self._own
        if model is not None and (one is not None or (several is not None and by_model is None)):
            card, rows = self._named_model(model)
        if by_model is not None:
            self._add_by_model(number, one, by_model, card, rows)
            return
        if one is not None and not _is_empty(one):
            _add(rows, one, number, "descriptor")
        if several is not None and not _is_empty(several):
            if not isinstance(several, ARRAYS):
                raise InvalidDescriptor(NO_DESCRIPTORS, field="descriptors")
            for place, value in enumerate(several):
                _add(rows, value, number + 1 + place, f"descriptors[{place}]", in_list=True)

    def add_all(self, values: list[Any]) -> bool:
        """Add one descriptor of the request's model for each member, as ``DescriptorRows.add_all``."""
        return self._own.add_all(values, list(range(0, len(values) << PHOTO_BITS, 1 << PHOTO_BITS)))

    def mark(self) -> tuple[bool, dict[str, tuple[int, int]]]:
        """The present size, for ``undo``."""
        return self._named, {name: rows.mark() for name, (_, rows) in self._rows.items()}

    def undo(self, mark: tuple[bool, dict[str, tuple[int, int]]]) -> None:
        """Remove what was added since ``mark``."""
        self._named, before = mark
        for name in list(self._rows):
            if name in before:
                self._rows[name][1].undo(before[name])
            else:
                del self._rows[name]

    def _add_by_model(self, number: int, one: Any, by_model: Any, card: ModelCard, rows: DescriptorRows) -> None:
        """Add the photos of an object ``by_model``, and ``one`` of ``card``'s model in ``rows``."""
        self._named = True
        names = dict.fromkeys(by_model)
        if len(names) > MAX_MODELS:  # as one descriptor that JSON.stringify(Float32Array) makes has
            raise InvalidDescriptor(NO_DESCRIPTORS, field="descriptors")
        found = {name: value for name in names if not _is_empty(value := by_model[name])}
        first = None
        if not _is_empty(one):
            # Where the object has descriptors of this model too, this one is of another photo, or of their first.
            first = _add(rows, one, number if card.name in found else number + 1, "descriptor")
        for name, value in found.items():
            field = f"descriptors.{name}"
            rows = self._rows_of_name(name)
            if type(value) is str and value.lstrip().startswith(("[", "{")):
                value = parse_several(value, field)
            several = isinstance(value, ARRAYS) and is_list_of_descriptors(value)
            for place, photo in enumerate(value if several else (value,)):
                if not _is_empty(photo):
                    where = f"{field}[{place}]" if several else field
                    added = _add(rows, photo, number + 1 + place, where, in_list=several)
                    if first is not None and place == 0 and name == card.name:
                        rows.merge_last_two(first, added)

    def _named_model(self, model: Any) -> tuple[ModelCard, DescriptorRows]:
        """The card and the rows of a member's ``model``."""
        card = self._named_cards.get(model) if type(model) is str else None
        if card is None:
            card = find_card(model)
            if card is None or not (self._card.comparable(card) or in_one_pair(self._card, card)):
                raise ModelMismatch(field="model")
            self._named_cards[card.name] = card
        self._named |= card is not self._card
        return card, self._rows_of(card)

    def _rows_of_name(self, name: str) -> DescriptorRows:
        if name in self._rows:
            return self._rows[name][1]
        card = find_card(name)
        if card is None:
            if name.isdigit():  # of one descriptor, as JSON.stringify(Float32Array) makes it
                raise InvalidDescriptor(NO_DESCRIPTORS, field="descriptors")
            raise ModelMismatch(f"The models are: {MODEL_NAMES}.", field="descriptors")
        return self._rows_of(card)

    def _rows_of(self, card: ModelCard) -> DescriptorRows:
        if card.name not in self._rows:
            if len(self._rows) == MAX_MODELS:
                raise InvalidRequest(f"A list has descriptors of at most {MAX_MODELS} models.", field="descriptors")
            self._rows[card.name] = card, DescriptorRows(card.dimension, strict=self._strict)
        return self._rows[card.name][1]


NO_DESCRIPTORS = f"A member's descriptors are a list of them, or an object with those of up to {MAX_MODELS} models."


def _add(rows: DescriptorRows, value: Any, number: int, field: str, *, in_list: bool = False) -> bytes:
    try:
        return rows.add(value, number, in_list=in_list)
    except InvalidDescriptor as error:
        raise InvalidDescriptor(str(error), field=field) from None


def _is_empty(descriptor: Any) -> bool:
    """Databases hand out an empty list or text for a member who is not enrolled yet."""
    return descriptor is None or ((type(descriptor) in (str, Array, list)) and len(descriptor) == 0)
