"""Builds bodies of /match, and compares parsed requests."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np

from face128.domain.members import MatchRequest, MemberList

GOOD = [round(0.001 * i - 0.06, 3) for i in range(128)]
PROBE = [0.5, *GOOD[1:]]
RETAIL = [round(0.01 * i - 1.3, 2) for i in range(256)]
"""A descriptor of retail-0095."""


def as_object(numbers: list[float]) -> dict[str, float]:
    return {str(i): number for i, number in enumerate(numbers)}


def as_base64(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def as_base64_url(numbers: list[float]) -> str:
    """In the URL-safe alphabet without padding, as Node's ``base64url`` makes it."""
    return as_base64(numbers).translate(str.maketrans("+/", "-_", "="))


def ask(*members: Any, probe: Any = GOOD, **more: Any) -> bytes:
    return json.dumps({"descriptor": probe, "enrolled": list(members), **more}).encode()


def member(reg_no: Any, form: Any = list, **more: Any) -> dict[str, Any]:
    return {"regNo": reg_no, "name": f"Member {reg_no}", "descriptor": form(GOOD), **more}


def the_same(one: MatchRequest, other: MatchRequest) -> bool:
    assert one.enrolled is not None
    assert other.enrolled is not None
    a, b = one.enrolled, other.enrolled
    arrays = [*zip(one.probe.descriptors, other.probe.descriptors, strict=True)]
    return (
        (one.card, one.thresholds, one.rule, one.root_fields, one.probe.by_model)
        == (other.card, other.thresholds, other.rule, other.root_fields, other.probe.by_model)
        and all((x[0], x[1].tobytes()) == (y[0], y[1].tobytes()) for x, y in arrays)
        and same_members(a, b)
    )


def same_members(one: MemberList, other: MemberList, *, precision: bool = True) -> bool:
    """To the last bit, and in the same order; in the same ``precision`` too."""

    def arrays(members: MemberList) -> list[Any]:
        rows = [(each.vectors, each.owners, each.photos) for each in members.of_models]
        return [members.vectors, members.owners, *(array for of_model in rows for array in of_model)]

    both = [(each.reg_nos, each.names, [rows.card for rows in each.of_models]) for each in (one, other)]
    return repr(both[0]) == repr(both[1]) and all(
        np.array_equal(x, y) and (x.dtype == y.dtype or not precision)
        for x, y in zip(arrays(one), arrays(other), strict=True)
    )


def vector_of(request: MatchRequest) -> list[float]:
    """The probe's descriptor of its own model."""
    vector: list[float] = request.probe.descriptors[0][1].tolist()
    return vector
