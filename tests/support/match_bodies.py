"""Builds bodies of /match, and compares parsed requests."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from face128.domain.members import MatchRequest

GOOD = [round(0.001 * i - 0.06, 3) for i in range(128)]
PROBE = [0.5, *GOOD[1:]]


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
    arrays = [(one.probe, other.probe), (a.vectors, b.vectors), (a.owners, b.owners)]
    return (
        (one.card, one.threshold, one.rule, one.root_fields)
        == (other.card, other.threshold, other.rule, other.root_fields)
        and repr((a.reg_nos, a.names, a.other_model)) == repr((b.reg_nos, b.names, b.other_model))
        and all((x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()) for x, y in arrays)
    )
