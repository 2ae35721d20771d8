"""Parses the body of /match the slow way: json.loads, and ``descriptors.parse`` for one descriptor after the other.

match_body/parser.py must return the same values, to the last bit, or the same error code with the same field.
"""

from __future__ import annotations

import json
import math
from typing import Any

from face128.domain import decision_rule, descriptors
from face128.domain.model_card import DLIB, find_card
from face128.errors import BadRequest, Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch

Reading = tuple[Any, ...]
"""Model name, threshold, rule, probe; then None, or regNos, names, rows as doubles with their owners, and the indices
of members of another model."""


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
    threshold = root.get("threshold")
    if threshold is not None and not (_is_number(threshold) and 0 < threshold <= 2):
        raise InvalidRequest(field="threshold")
    rule = (
        decision_rule.THRESHOLD
        if root.get("decision") is None
        else decision_rule.parse(root["decision"], decision_rule.THRESHOLD)
    )
    probe = descriptors.parse(root.get("descriptor"), card.dimension).tolist()
    threshold = None if threshold is None else float(threshold)
    if "enrolled" not in root:
        return card.name, threshold, rule, probe, None
    if not isinstance(root["enrolled"], list):
        raise InvalidRequest(field="enrolled")
    reg_nos, names, rows, owners, other_model = [], [], [], [], set()
    for index, member in enumerate(root["enrolled"]):
        place = f"enrolled[{index}]"
        if not isinstance(member, dict):
            raise InvalidRequest(field=place)
        reg_no, name, model = member.get("regNo"), member.get("name"), member.get("model")
        if not (isinstance(reg_no, str) or (_is_number(reg_no) and (isinstance(reg_no, int) or math.isfinite(reg_no)))):
            raise InvalidRequest(field=f"{place}.regNo")
        if not (name is None or isinstance(name, str)):
            raise InvalidRequest(field=f"{place}.name", regNo=reg_no)
        reg_nos.append(reg_no)
        names.append(name)
        one, several = member.get("descriptor"), member.get("descriptors")
        if model is not None:
            other = find_card(model)
            if (one is not None or several is not None) and not (other and card.comparable(other)):
                raise ModelMismatch(field=f"{place}.model", regNo=reg_no)
            if model != card.name:
                other_model.add(index)
        values = [] if one in (None, [], "") else [(f"{place}.descriptor", one)]
        if several is not None:
            # ``descriptor`` is checked before ``descriptors``.
            if not isinstance(several, list):
                _parse_all(values, card.dimension, reg_no)
                raise InvalidDescriptor(field=f"{place}.descriptors", regNo=reg_no)
            values += [(f"{place}.descriptors[{i}]", value) for i, value in enumerate(several)]
        rows += _parse_all(values, card.dimension, reg_no)
        owners += [index] * len(values)
    return card.name, threshold, rule, probe, (reg_nos, names, owned(rows, owners), other_model)


def owned(rows: list[list[float]], owners: list[int]) -> list[tuple[int, list[float]]]:
    """The rows with their owners, sorted: the order of a member's descriptors has no meaning."""
    return sorted(zip(owners, rows, strict=True))


def _parse_all(values: list[tuple[str, Any]], dimension: int, reg_no: Any) -> list[list[float]]:
    return [descriptors.parse(value, dimension, field, regNo=reg_no).tolist() for field, value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def outcome(error: Face128Error) -> tuple[Any, ...]:
    return error.code, error.context.get("field"), repr(error.context.get("regNo"))
