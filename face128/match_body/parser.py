"""Parses the body of POST /match into arrays, without a Python object for each number.

``{"descriptor": D, "enrolled": [{"regNo": 1029, "name": "Vicky T", "descriptor": D}, ...]}``, optionally with
``threshold``, ``model`` and ``decision``. A member may have ``descriptors: [D, ...]`` and their own ``model``. Other
fields are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from face128.domain import decision_rule, descriptors
from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.members import MatchRequest, MemberList, RegNo
from face128.domain.model_card import DLIB, MODEL_NAMES, ModelCard, find_card
from face128.errors import BadRequest, Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch, TooLarge
from face128.match_body import json_document
from face128.match_body.descriptor_rows import DescriptorRows
from face128.match_body.json_document import ARRAYS, OBJECTS, Body, to_python

MEMBER_FIELDS = ("regNo", "name", "descriptor", "descriptors", "model")


def parse(body: Body, *, max_members: int = 100_000, rule: Rule = THRESHOLD) -> MatchRequest:
    """Parse a body of /match; ``rule`` applies if the body names none. Thread-safe.

    Raises BadRequest unless it is a JSON object; InvalidRequest, InvalidDescriptor and ModelMismatch with the ``field``
    and the member's ``regNo``; TooLarge if the members have more than ``max_members`` descriptors in total.
    """
    return json_document.parse(
        body, lambda root: to_match_request(root, rule, lambda card: _member_list(root, card, body, max_members))
    )


def to_match_request(root: Any, rule: Rule, members: Callable[[ModelCard], MemberList]) -> MatchRequest:
    """The request of a document; calls ``members`` only if it has ``enrolled``. Raises the errors of ``parse``."""
    if not isinstance(root, OBJECTS):
        raise BadRequest("The body is a JSON object with descriptor and enrolled.")
    fields = tuple(root)

    def get(name: str) -> Any:  # asking simdjson for a field that is missing costs a C++ exception
        return root[name] if name in fields else None

    model, threshold, decision = get("model"), get("threshold"), get("decision")
    card = DLIB if model is None else find_card(model)
    if card is None:
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="model")
    if threshold is not None and not (type(threshold) in (int, float) and 0 < threshold <= 2):
        raise InvalidRequest("A threshold is a number above 0 and not above 2.", field="threshold")
    if decision is not None:
        rule = decision_rule.parse(to_python(decision), rule)
    probe = descriptors.parse(to_python(get("descriptor")), card.dimension)
    enrolled = members(card) if "enrolled" in fields else None
    root_fields = () if isinstance(root, dict) else fields
    return MatchRequest(probe, card, None if threshold is None else float(threshold), enrolled, rule, root_fields)


def _member_list(root: Any, card: ModelCard, body: Body, max_members: int) -> MemberList:
    members = root["enrolled"]
    if not isinstance(members, ARRAYS):
        raise InvalidRequest("The enrolled members are a list.", field="enrolled")
    rows = DescriptorRows(card.dimension)
    try:
        reg_nos, names, other_model = parse_members(members, card, rows)
        other_lists = 1 + isinstance(root.get("descriptor"), ARRAYS)  # ``enrolled``, and the probe
        needs_strict_check = rows.needs_strict_check(body, other_lists)
    except Face128Error:
        needs_strict_check = True  # an earlier member may be invalid too: the error must name the first one
    if needs_strict_check:
        rows = DescriptorRows(card.dimension, strict=True)
        reg_nos, names, other_model = parse_members(members, card, rows)
    if len(rows) > max_members:
        raise TooLarge(f"At most {max_members} descriptors are compared in one request.", field="enrolled")
    return MemberList(reg_nos, names, *rows.to_arrays(), frozenset(other_model))


def parse_members(
    members: Any, card: ModelCard, rows: DescriptorRows
) -> tuple[list[RegNo], list[str | None], list[int]]:
    """Add the members' descriptors to ``rows``; returns regNos, names, and the indices of members of another model."""
    if (uniform := _parse_uniform_members(members, rows)) is not None:
        return *uniform, []
    reg_nos: list[RegNo] = []
    names: list[str | None] = []
    other_model: list[int] = []
    for index, member in enumerate(members):
        if not isinstance(member, OBJECTS):
            raise InvalidRequest("A member is an object with regNo, name and descriptor.", field=f"enrolled[{index}]")
        reg_no, name, one, several, model = _fields(member)
        kind = type(reg_no)
        if not (kind is int or kind is str or (kind is float and math.isfinite(reg_no))):
            raise InvalidRequest("A member's regNo is a number or a string.", field=f"enrolled[{index}].regNo")
        if name is not None and type(name) is not str:
            raise InvalidRequest("A member's name is a string.", field=f"enrolled[{index}].name", regNo=reg_no)
        reg_nos.append(reg_no)
        names.append(name)
        described = one is not None or several is not None
        if model is not None and described and not ((other := find_card(model)) and card.comparable(other)):
            raise ModelMismatch(field=f"enrolled[{index}].model", regNo=reg_no)
        if model is not None and model != card.name:
            other_model.append(index)
        field = "descriptor"
        try:
            if one is not None:
                rows.add(one, index)
            if several is not None:
                field = "descriptors"
                if not isinstance(several, ARRAYS):
                    raise InvalidDescriptor("A member's descriptors are a list of them.")
                for position, value in enumerate(several):
                    field = f"descriptors[{position}]"
                    rows.add(value, index, in_list=True)
        except InvalidDescriptor as error:
            raise InvalidDescriptor(str(error), field=f"enrolled[{index}].{field}", regNo=reg_no) from None
    return reg_nos, names, other_model


def _parse_uniform_members(members: Any, rows: DescriptorRows) -> tuple[list[RegNo], list[str | None]] | None:
    """Fast path, in half the time: members of exactly three fields with descriptors of one form. None for any other."""
    reg_nos: list[RegNo] = []
    names: list[str | None] = []
    values: list[Any] = []
    try:
        for member in members:
            if len(member) != 3:
                return None
            reg_nos.append(member["regNo"])
            names.append(member["name"])
            values.append(member["descriptor"])
    except (KeyError, TypeError):
        return None
    valid = {int, str}.issuperset(map(type, reg_nos)) and {str}.issuperset(map(type, names)) and rows.add_all(values)
    return (reg_nos, names) if valid else None


def _fields(member: Any) -> tuple[Any, ...]:
    """The values of MEMBER_FIELDS; None for a field that is missing."""
    # Accessing a missing field of simdjson costs a C++ exception, more than the rest of a member.
    if len(member) == 3:
        try:
            return member["regNo"], member["name"], member["descriptor"], None, None
        except KeyError:
            pass
    present = set(member)
    return tuple([member[field] if field in present else None for field in MEMBER_FIELDS])
