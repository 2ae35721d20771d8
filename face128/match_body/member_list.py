"""Parses lists of members, in the body of /match or as the body of PUT /lists/{digest}.

A member is ``{"regNo": 1029, "name": "Vicky T", "descriptor": D}``; they may have ``descriptors: [D, ...]`` and their
own ``model``, or descriptors of several models (``model_collector.py``). Other fields are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from face128.domain.members import MemberList, RegNo, SkippedMember
from face128.domain.model_card import ModelCard
from face128.domain.strict_json import is_unicode
from face128.errors import Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch, TooLarge
from face128.match_body import json_document
from face128.match_body.descriptor_rows import DescriptorRows, need_strict_check
from face128.match_body.json_document import ARRAYS, OBJECTS, Body
from face128.match_body.model_collector import ModelCollector

MEMBER_FIELDS = ("regNo", "name", "descriptor", "descriptors", "model")


def parse_list(body: Body, card: ModelCard, *, max_members: int, skip_invalid: bool = False) -> MemberList:
    """Parse a body that is a list of members. Raises BadRequest unless it is JSON, and as ``member_list``."""
    # The root's bracket follows no colon, as those of nested lists.
    return json_document.parse(
        body,
        lambda root: member_list(
            root, card, lambda rows: need_strict_check(rows, body, 1, other_nested=1), max_members, skip_invalid
        ),
        any_text=skip_invalid,
        root_name="enrolled",
    )


def member_list(
    members: Any,
    card: ModelCard,
    needs_strict_check: Callable[[Iterable[DescriptorRows]], bool],
    max_members: int,
    skip_invalid: bool = False,
) -> MemberList:
    """The members of a parsed list; ``card``'s model made the descriptors of those that name no model.

    Raises InvalidRequest, InvalidDescriptor and ModelMismatch with the ``field`` and the member's ``regNo``, unless
    ``skip_invalid`` leaves this member out; TooLarge for more than ``max_members`` members, or as many descriptors.
    """
    if not isinstance(members, ARRAYS):
        raise InvalidRequest("The enrolled members are a list.", field="enrolled")
    _check_count(len(members), max_members, "members")  # before an object is made for each
    parsed = _Members(card, strict=False)
    try:
        parsed.add_all(members)
        strict = needs_strict_check(parsed.descriptors.rows)
    except Face128Error:
        strict = True  # an earlier member may be invalid too: the error must name the first one
    if strict:
        parsed = _Members(card, strict=True)
        parsed.add_all(members, skip_invalid=skip_invalid)
    _check_count(max(map(len, parsed.descriptors.rows)), max_members, "descriptors")
    return parsed.to_list()


def _check_count(count: int, maximum: int, what: str) -> None:
    if count > maximum:
        raise TooLarge(f"A list has at most {maximum} {what}.", field="enrolled", max_members=maximum)


class _Members:
    """Collects the members of one list."""

    def __init__(self, card: ModelCard, *, strict: bool) -> None:
        self.descriptors = ModelCollector(card, strict=strict)
        self._reg_nos: list[RegNo] = []
        self._names: list[str | None] = []
        self._skipped: list[SkippedMember] = []

    def to_list(self) -> MemberList:
        vectors, owners, of_models = self.descriptors.to_arrays()
        skipped = tuple(self._skipped)
        return MemberList(self._reg_nos, self._names, vectors, owners, skipped=skipped, of_models=of_models)

    def add_all(self, members: Any, *, skip_invalid: bool = False) -> None:
        """Raises InvalidRequest, InvalidDescriptor or ModelMismatch for the first invalid member."""
        if self._add_uniform(members):
            return
        for position, member in enumerate(members):
            mark = self.descriptors.mark() if skip_invalid else None
            try:
                self._add(member, position)
            except (InvalidRequest, ModelMismatch) as error:
                if mark is None:
                    raise
                self.descriptors.undo(mark)
                field = error.context["field"]
                self._skipped.append(SkippedMember(position, error.context.get("regNo"), field, error.code))

    def _add(self, member: Any, position: int) -> None:
        where = f"enrolled[{position}]"
        if not isinstance(member, OBJECTS):
            raise InvalidRequest("A member is an object with regNo, name and descriptor.", field=where)
        reg_no, name, one, several, model = _fields(member)
        kind = type(reg_no)
        if not (kind is int or kind is str or (kind is float and math.isfinite(reg_no))):
            raise InvalidRequest("A member's regNo is a finite number or a string.", field=f"{where}.regNo")
        if name is not None and type(name) is not str:
            raise InvalidRequest("A member's name is a string.", field=f"{where}.name", regNo=reg_no)
        if type(member) is dict:  # simdjson refuses such text
            for field, value in (("regNo", reg_no), ("name", name)):
                if not is_unicode(value):
                    raise InvalidRequest("A member's text is Unicode.", field=f"{where}.{field}")
        try:
            self.descriptors.add(len(self._reg_nos), one, several, model)
        except (InvalidDescriptor, ModelMismatch, InvalidRequest) as error:
            raise type(error)(str(error), field=f"{where}.{error.context['field']}", regNo=reg_no) from None
        self._reg_nos.append(reg_no)
        self._names.append(name)

    def _add_uniform(self, members: Any) -> bool:
        """Add all if they have exactly three fields and valid descriptors of one form, in half the time; else none."""
        reg_nos: list[RegNo] = []
        names: list[str | None] = []
        values: list[Any] = []
        try:
            for member in members:
                if len(member) != 3:
                    return False
                reg_nos.append(member["regNo"])
                names.append(member["name"])
                values.append(member["descriptor"])
        except (KeyError, TypeError):
            return False
        if not ({int, str}.issuperset(map(type, reg_nos)) and {str}.issuperset(map(type, names))):
            return False
        if not self.descriptors.add_all(values):
            return False
        self._reg_nos, self._names = reg_nos, names
        return True


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
