"""Parses the body of /match the slow way: json.loads, and ``descriptors.parse`` for one descriptor after the other.

match_body/parser.py must return the same values, to the last bit, or the same error code with the same field.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from face128.domain import decision_rule, descriptors
from face128.domain.model_card import DLIB, ModelCard, find_card, find_card_or_pair, in_one_pair
from face128.errors import BadRequest, Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch

Reading = tuple[Any, ...]
"""Model name, thresholds, rule, the probe's descriptor by each model; then None, or regNos, names, and the rows as
``owned`` sorts them."""
Row = tuple[int, str, int | None, list[float]]
"""The member, the model, the photo (None where the list names no models), and the numbers as doubles."""
MAX_MODELS = 16


def read(body: bytes) -> Reading:
    """Raises Face128Error with the code, the field and the regNo."""
    constants: list[str] = []

    def constant(token: str) -> float:
        constants.append(token)
        return float(token)

    try:
        text = str(body, "utf-8-sig", "surrogateescape")
        root = json.loads(text, parse_constant=constant, parse_int=_integer, object_pairs_hook=_first_wins)
        _check_text(root)
    except (ValueError, RecursionError):
        raise BadRequest from None
    reading = _request(root)
    if constants:
        raise BadRequest
    return reading


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits.lstrip("-")) <= 308 else float(digits)


def _check_text(root: Any) -> None:
    """Raise InvalidRequest for the first field whose text is not Unicode."""
    for name, value in root.items() if isinstance(root, dict) else [("body", root)]:
        elements = enumerate(value) if isinstance(value, list) else []
        for index, element in elements:
            for key, inner in element.items() if isinstance(element, dict) else []:
                if _has_surrogates([key, inner]):
                    reg_no = element.get("regNo")
                    known = {} if _has_surrogates(reg_no) or type(reg_no) not in (int, str) else {"regNo": reg_no}
                    raise InvalidRequest(field=f"{_replaced(name)}[{index}].{_replaced(key)}", **known)
            if _has_surrogates(element):
                raise InvalidRequest(field=f"{_replaced(name)}[{index}]")
        if _has_surrogates([name, value]):
            raise InvalidRequest(field=_replaced(name))


def _has_surrogates(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_surrogates, [*value, *value.values()]))
    if isinstance(value, list):
        return any(map(_has_surrogates, value))
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


def _replaced(name: str) -> str:
    return "".join("?" if "\ud800" <= character <= "\udfff" else character for character in name[:64])


def _request(root: Any) -> Reading:
    if not isinstance(root, dict):
        raise BadRequest
    card = DLIB if root.get("model") is None else find_card(root["model"])
    if card is None:
        raise InvalidRequest(field="model")
    threshold = _thresholds(root.get("threshold"))
    rule = (
        decision_rule.THRESHOLD
        if root.get("decision") is None
        else decision_rule.parse(root["decision"], decision_rule.THRESHOLD)
    )
    probe = _probe(root, card)
    thresholds = threshold if isinstance(threshold, dict) else {probe[0][0]: threshold}
    if "enrolled" not in root:
        return card.name, thresholds, rule, probe, None
    if not isinstance(root["enrolled"], list):
        raise InvalidRequest(field="enrolled")
    reg_nos, names, rows, models, named = [], [], [], {card.name}, False
    for index, member in enumerate(root["enrolled"]):
        place = f"enrolled[{index}]"
        if not isinstance(member, dict):
            raise InvalidRequest(field=place)
        reg_no, name = member.get("regNo"), member.get("name")
        if not (isinstance(reg_no, str) or (_is_number(reg_no) and (isinstance(reg_no, int) or math.isfinite(reg_no)))):
            raise InvalidRequest(field=f"{place}.regNo")
        if not (name is None or isinstance(name, str)):
            raise InvalidRequest(field=f"{place}.name", regNo=reg_no)
        reg_nos.append(reg_no)
        names.append(name)
        try:
            own, names_model = _photos(member, card, models)
        except Face128Error as error:
            raise type(error)(field=f"{place}.{error.context['field']}", regNo=reg_no) from None
        rows += [(index, *row) for row in own]
        named |= names_model
    if not named:
        rows = [(index, model, None, numbers) for index, model, _, numbers in rows]
    return card.name, thresholds, rule, probe, (reg_nos, names, owned(rows))


def _thresholds(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        if not (_is_number(value) and 0 < value <= 2):
            raise InvalidRequest(field="threshold")
        return float(value)
    for name, number in value.items():
        if find_card_or_pair(name) is None:
            raise InvalidRequest(field="threshold")
        if number is not None and not (_is_number(number) and 0 < number <= 2):
            raise InvalidRequest(field=f"threshold.{name}")
    return {name: float(number) for name, number in value.items() if number is not None}


def _probe(root: Any, card: ModelCard) -> list[tuple[str, list[float]]]:
    several = root.get("descriptors")
    if several is None:
        return [(card.name, descriptors.parse(root.get("descriptor"), card.dimension).tolist())]
    one = [] if _is_empty(root.get("descriptor")) else [descriptors.parse(root["descriptor"], card.dimension).tolist()]
    lists = {card.name: one}
    if isinstance(several, str) and several:
        several = _several(several, "descriptors")
    if isinstance(several, list):
        lists[card.name] = one + _places(several, card, "descriptors")[1] if several else one
    elif several != "":
        for name, other in _models(several, InvalidRequest).items():
            places, found = _places(several[name], other, f"descriptors.{name}")
            same = name == card.name and one and 0 in places and found[0] == one[0]
            lists[name] = lists.get(name, []) + (found[1:] if same else found)
    means = [(name, _mean(find_card(name) or card, photos)) for name, photos in lists.items() if photos]
    if not means:
        raise InvalidDescriptor(field="descriptors")
    return means


def _mean(card: ModelCard, photos: list[list[float]]) -> list[float]:
    if len(photos) == 1:
        return photos[0]
    with np.errstate(all="ignore"):
        rows = np.array(photos)
        if card.metric == "cosine":
            rows = np.array([row / np.sqrt(np.add.accumulate(row * row)[-1]) for row in rows])
        mean: list[float] = (np.add.accumulate(rows)[-1] / len(rows)).tolist()
    return mean


def _photos(member: Any, card: ModelCard, models: set[str]) -> tuple[list[tuple[str, int, list[float]]], bool]:
    """The model, the photo and the numbers of a member's rows, and whether the member names another model."""
    one, several, model = member.get("descriptor"), member.get("descriptors"), member.get("model")
    if isinstance(several, str) and several:
        several = _several(several, "descriptors")
    own = card
    if model is not None and (one is not None or (several is not None and not isinstance(several, dict))):
        other = find_card(model)
        if other is None or not (card.comparable(other) or in_one_pair(card, other)):
            raise ModelMismatch(field="model")
        own = other
        _count(models, own.name)
    if not isinstance(several, dict):
        rows = [] if _is_empty(one) else [(own.name, -1, descriptors.parse(one, own.dimension).tolist())]
        if several is not None and several != "":
            if not isinstance(several, list):
                raise InvalidDescriptor(field="descriptors")
            for place, value in enumerate(several):
                numbers = descriptors.parse(value, own.dimension, f"descriptors[{place}]").tolist()
                rows.append((own.name, place, numbers))
        return rows, own.name != card.name
    if len(several) > MAX_MODELS:
        raise InvalidDescriptor(field="descriptors")
    given = {name for name, value in several.items() if not _is_empty(value)}
    first = [] if _is_empty(one) else [descriptors.parse(one, own.dimension).tolist()]
    rows = [(own.name, -1 if own.name in given else 0, numbers) for numbers in first]
    for name in several:
        if name not in given:
            continue
        other = _models({name: None}, ModelMismatch)[name]
        _count(models, name)
        places, found = _places(several[name], other, f"descriptors.{name}")
        if name == own.name and first and found and places[0] == 0 and found[0] == first[0]:
            rows.remove((name, -1, first[0]))
        rows += [(name, place, numbers) for place, numbers in zip(places, found, strict=True)]
    return rows, True


def _count(models: set[str], name: str) -> None:
    models.add(name)
    if len(models) > MAX_MODELS:
        raise InvalidRequest(field="descriptors")


def _models(several: Any, unknown: type[Face128Error]) -> dict[str, ModelCard]:
    if not isinstance(several, dict) or len(several) > MAX_MODELS:
        raise InvalidDescriptor(field="descriptors")
    found = {}
    for name in several:
        card = find_card(name)
        if card is None:
            raise (InvalidDescriptor if name.isdigit() else unknown)(field="descriptors")
        found[name] = card
    return found


def _places(value: Any, card: ModelCard, field: str) -> tuple[list[int], list[list[float]]]:
    """The places that are not empty in a value that is one descriptor or a list of them, and what is there."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        value = _several(value, field)
    if isinstance(value, list) and value and type(value[0]) not in (int, float, bool):
        places = [place for place, each in enumerate(value) if not _is_empty(each)]
        return places, [descriptors.parse(value[i], card.dimension, f"{field}[{i}]").tolist() for i in places]
    return ([], []) if _is_empty(value) else ([0], [descriptors.parse(value, card.dimension, field).tolist()])


def _several(text: str, field: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list | dict):
        raise InvalidDescriptor(field=field)
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], "")


def owned(rows: list[Row]) -> list[Row]:
    """The rows in an order of their own: that of a member's models has no meaning."""
    return sorted(rows, key=repr)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def outcome(error: Face128Error) -> tuple[Any, ...]:
    return error.code, error.context.get("field"), repr(error.context.get("regNo"))
