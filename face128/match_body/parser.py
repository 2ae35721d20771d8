"""The body of POST /match, bytes in and arrays out, without a Python object for each of its numbers.

``{"descriptor": D, "enrolled": [{"regNo": 1029, "name": "Vicky T", "descriptor": D}, ...]}``, with ``threshold``,
``model`` and ``decision`` if wanted. A member may carry ``descriptors: [D, ...]`` and their own ``model``. Other fields
are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from face128.domain import decision_rule, descriptors
from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.members import Enrolled, MatchRequest, RegNo
from face128.domain.model_card import DLIB, MODELS, ModelCard, find_card
from face128.errors import BadRequest, Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch, TooLarge
from face128.match_body.descriptor_rows import Rows
from face128.match_body.json_document import ARRAYS, OBJECTS, Body, plain, read

FIELDS = ("regNo", "name", "descriptor", "descriptors", "model")


def parse(body: Body, *, max_members: int = 100_000, rule: Rule = THRESHOLD) -> MatchRequest:
    """Read a body of /match; ``rule`` is the one to decide by where the body names none. Thread-safe.

    Raises BadRequest unless it is a JSON object, InvalidRequest, InvalidDescriptor and ModelMismatch with the ``field``
    and the member's ``regNo``, and TooLarge if the members have more than ``max_members`` descriptors together.
    """

    def take(root: Any) -> MatchRequest:
        return request(root, rule, lambda card: _enrolled(root, card, body, max_members))

    return read(body, take)


def request(root: Any, rule: Rule, members: Callable[[ModelCard], Enrolled]) -> MatchRequest:
    """The request of a document; its ``members`` are only asked for if there are any. Raises as ``parse`` does."""
    if not isinstance(root, OBJECTS):
        raise BadRequest("The body is a JSON object with descriptor and enrolled.")
    model: Any = root.get("model")
    threshold: Any = root.get("threshold")
    card = DLIB if model is None else find_card(model)
    if card is None:
        raise InvalidRequest(f"The models are: {MODELS}.", field="model")
    if threshold is not None and not (type(threshold) in (int, float) and 0 < threshold <= 2):
        raise InvalidRequest("A threshold is a number above 0 and not above 2.", field="threshold")
    decision: Any = root.get("decision")
    if decision is not None:
        rule = decision_rule.parse(plain(decision), rule)
    probe = descriptors.parse(plain(root.get("descriptor")), card.dimension)
    enrolled = members(card) if "enrolled" in root else None
    names = () if isinstance(root, dict) else tuple(root)
    return MatchRequest(probe, card, None if threshold is None else float(threshold), enrolled, rule, names)


def lists_besides(root: Any) -> int:
    """How many lists a document with members surely has, besides theirs: the members, and the probe as a list."""
    return 1 + isinstance(root.get("descriptor"), ARRAYS)


def _enrolled(root: Any, card: ModelCard, body: Body, max_members: int) -> Enrolled:
    members = root["enrolled"]
    if not isinstance(members, ARRAYS):
        raise InvalidRequest("The enrolled members are a list.", field="enrolled")
    rows = Rows(card.dimension)
    try:
        reg_nos, names, foreign = read_members(members, card, rows)
        sure = not rows.doubtful(body, lists_besides(root))
    except Face128Error:
        sure = False  # an earlier member may be wrong too: the first one is named
    if not sure:
        rows = Rows(card.dimension, careful=True)
        reg_nos, names, foreign = read_members(members, card, rows)
    if len(rows) > max_members:
        raise TooLarge(f"At most {max_members} descriptors are compared in one request.", field="enrolled")
    return Enrolled(reg_nos, names, *rows.block(), frozenset(foreign))


def read_members(members: Any, card: ModelCard, rows: Rows) -> tuple[list[RegNo], list[str | None], list[int]]:
    """Everybody's regNo and name, in the order of the list, and who is foreign; descriptors go into ``rows``."""
    if (usual := _read_usual(members, rows)) is not None:
        return *usual, []
    reg_nos: list[RegNo] = []
    names: list[str | None] = []
    foreign: list[int] = []
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
            foreign.append(index)
        where = "descriptor"
        try:
            if one is not None:
                rows.add(one, index)
            if several is not None:
                where = "descriptors"
                if not isinstance(several, ARRAYS):
                    raise InvalidDescriptor("A member's descriptors are a list of them.")
                for position, value in enumerate(several):
                    where = f"descriptors[{position}]"
                    rows.add(value, index, in_list=True)
        except InvalidDescriptor as error:
            raise InvalidDescriptor(str(error), field=f"enrolled[{index}].{where}", regNo=reg_no) from None
    return reg_nos, names, foreign


def _read_usual(members: Any, rows: Rows) -> tuple[list[RegNo], list[str | None]] | None:
    """A list as it usually comes, half as slow: all in one form, and no field but these three. Any other gives None."""
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
    usual = {int, str}.issuperset(map(type, reg_nos)) and {str}.issuperset(map(type, names)) and rows.add_all(values)
    return (reg_nos, names) if usual else None


def _fields(member: Any) -> tuple[Any, ...]:
    """regNo, name, descriptor, descriptors and model; None for each that is not there."""
    # Asking simdjson for a field that is missing costs a C++ exception: more than all the rest of a member.
    if len(member) == 3:
        try:
            return member["regNo"], member["name"], member["descriptor"], None, None
        except KeyError:
            pass
    there = set(member)
    return tuple([member[field] if field in there else None for field in FIELDS])
